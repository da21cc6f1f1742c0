"""Algorithm 1 of arXiv 2511.04406 as it is printed, with its N x N matrix."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

VERY_LARGE = 1e12


def dense_learnability(
    learner: tuple[Tensor, Tensor],
    reference: tuple[Tensor, Tensor],
    *,
    learner_weight: float,
    reference_weight: float,
    sign: float,
) -> Tensor:
    """Eq. 1-3; the off-diagonal entries carry ``sign``."""
    matrix = reference_weight * reference[0] @ reference[1].T
    matrix = matrix - learner_weight * learner[0] @ learner[1].T

    diagonal = torch.diag(matrix.diagonal())

    return diagonal + sign * (matrix - diagonal)


def select(
    matrix: Tensor, sizes: Sequence[int], noise: Tensor, *, average: bool
) -> tuple[list[int], float]:
    """Returns the chosen indices, and the closest call: the smallest gap between two keys.

    With ``average``, the relations to the chosen are averaged, which is not the paper's.
    """
    gap = float("inf")

    inds: list[int] = []

    pos_ii = matrix.diagonal()

    for n_draws, chunk_noise in zip(sizes, noise, strict=True):
        is_sampled = torch.zeros(len(matrix), dtype=matrix.dtype)
        is_sampled[inds] = 1.0

        pos_ij = (matrix * is_sampled[:, None]).sum(dim=0)
        pos_ji = (matrix * is_sampled[None, :]).sum(dim=1)

        scale = 1.0 / max(1, len(inds)) if average else 1.0

        pos = pos_ii + scale * (pos_ij + pos_ji) - is_sampled * VERY_LARGE

        keys = pos + chunk_noise

        order = sorted(range(len(keys)), key=lambda j: (-float(keys[j]), j))

        if n_draws < len(order):
            gap = min(gap, float(keys[order[n_draws - 1]] - keys[order[n_draws]]))

        for first, second in pairwise(order[:n_draws]):
            gap = min(gap, float(keys[first] - keys[second]))

        inds += order[:n_draws]

    return inds, gap
