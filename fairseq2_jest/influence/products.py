"""Dot products of pairs' gradients with the directions of seeds, in one layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from typing import Final

import torch
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.influence.directions import LayerDirections
from fairseq2_jest.influence.gradients import LayerTokens

_NUM_TOKENS: Final = 32
"""What a pair is taken to have, to find out which product is cheaper."""

_MAX_ELEMENTS: Final = 1 << 24
"""Numbers that are in memory at once, beside what the seeds take."""


class DirectionProduct(ABC):
    """Multiplies gradients with the directions of T seeds."""

    @abstractmethod
    def __call__(self, tokens: LayerTokens, num_pairs: int) -> Tensor:
        """The dot product of each of the N pairs' gradients with each direction. *Shape:*
        ``(N, T)``, fp32."""


def create_product(directions: LayerDirections) -> DirectionProduct:
    """The product that takes fewer multiplications, by shape alone."""
    num_seeds, output_dim, rank = directions.left.shape

    size = output_dim * directions.right.size(1)

    thin_cost = _NUM_TOKENS * (output_dim + directions.right.size(1)) * num_seeds * rank

    whole_cost = size * (_NUM_TOKENS + num_seeds)

    if whole_cost < thin_cost and num_seeds * size <= _MAX_ELEMENTS:
        return WholeProduct(directions)

    return ThinProduct(directions)


class ThinProduct(DirectionProduct):
    """For wide layers: no gradient is formed.

    With the direction ``L R^T`` and the gradient a sum over positions of ``d a^T``, the product is
    the sum over positions of ``(L^T d) . (R^T a)``.
    """

    def __init__(self, directions: LayerDirections) -> None:
        self._num_seeds = len(directions.left)
        self._left = _side_by_side(directions.left)
        self._right = _side_by_side(directions.right)

    @override
    def __call__(self, tokens: LayerTokens, num_pairs: int) -> Tensor:
        shares = []

        step = max(1, _MAX_ELEMENTS // self._left.size(1))

        for begin in range(0, len(tokens.pairs), step):
            part = slice(begin, begin + step)

            products = (tokens.gradients[part] @ self._left) * (tokens.inputs[part] @ self._right)

            by_seed = products.view(len(products), self._num_seeds, -1).sum(dim=2)

            # A product, since adding by index comes out differently each time on a GPU.
            members = tokens.pairs[part] == torch.arange(
                num_pairs, device=tokens.pairs.device
            ).unsqueeze(1)

            shares.append(members.to(by_seed) @ by_seed)

        return torch.stack(shares).sum(dim=0)


class WholeProduct(DirectionProduct):
    """For narrow layers: gradients are formed, a few at once, and so are directions."""

    def __init__(self, directions: LayerDirections) -> None:
        self._whole = (directions.left @ directions.right.mT).flatten(start_dim=1).T.contiguous()

    @override
    def __call__(self, tokens: LayerTokens, num_pairs: int) -> Tensor:
        step = max(1, _MAX_ELEMENTS // len(self._whole))

        gradients = tokens.each_gradient(num_pairs)

        parts = []

        for begin in range(0, num_pairs, step):
            few = islice(gradients, min(step, num_pairs - begin))

            parts.append(torch.stack([gradient.flatten() for gradient in few]) @ self._whole)

        return torch.cat(parts)


def _side_by_side(matrices: Tensor) -> Tensor:
    """``(T, n, r)`` to ``(n, T r)``."""
    return matrices.permute(1, 0, 2).reshape(matrices.size(1), -1).contiguous()
