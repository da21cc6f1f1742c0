"""Preconditioned gradients of seeds, each kept as a product of two thin matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import torch
from fairseq2.device import Device
from torch import Tensor

from fairseq2_jest.influence.curvature import LayerCurvature
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.gradients import BatchGradients

# Beyond this a whole decomposition takes longer than probing, and there are thousands of them.
_MAX_EXACT_DIM: Final = 128
_OVERSAMPLING: Final = 8
_NUM_POWER_STEPS: Final = 2


@dataclass(frozen=True, kw_only=True)
class LayerDirections:
    """``(H + damping)^-1 g_t`` of T seeds for one layer, as ``L_t R_t^T`` of rank r."""

    left: Tensor
    """*Shape:* ``(T, out, r)``, fp32."""

    right: Tensor
    """*Shape:* ``(T, in, r)``, fp32."""

    energy: Tensor
    """The squared norm of each whole one. *Shape:* ``(T)``."""

    kept: Tensor
    """The squared norm of each ``L_t R_t^T``. *Shape:* ``(T)``."""


Directions = Mapping[str, LayerDirections]


def seed_directions(
    batch: BatchGradients,
    curvatures: Mapping[str, LayerCurvature],
    damping: DampingConfig,
    rank: int | None,
) -> dict[str, LayerDirections]:
    """Preconditions the seeds of a batch one by one, in their order in the batch.

    :param rank: The rank r; ``None`` to keep all.
    """
    directions = {}

    for name, tokens in batch.layers.items():
        curvature = curvatures[name]

        # Among the eigenvectors the inverse is a division; only what is thin is turned there, and
        # back.
        gradients = curvature.rotate(tokens).each_gradient(len(batch.places))

        damped = curvature.damped(damping)

        thin = _thin((gradient.div_(damped) for gradient in gradients), rank)

        directions[name] = replace(
            thin,
            left=curvature.gradient_vectors @ thin.left,
            right=curvature.input_vectors @ thin.right,
        )

    return directions


def raw_directions(batch: BatchGradients, rank: int | None) -> dict[str, LayerDirections]:
    """The gradients of the seeds of a batch as they are, in their order in the batch."""
    return {
        name: _thin(tokens.each_gradient(len(batch.places)), rank)
        for name, tokens in batch.layers.items()
    }


def _thin(matrices: Iterable[Tensor], rank: int | None) -> LayerDirections:
    parts = [(matrix.square().sum(), *low_rank(matrix, rank)) for matrix in matrices]

    energy, left, right = (torch.stack(column) for column in zip(*parts, strict=True))

    # The columns of `right` are orthonormal.
    kept = left.square().sum(dim=(1, 2))

    return LayerDirections(left=left, right=right, energy=energy, kept=kept)


def low_rank(matrix: Tensor, rank: int | None) -> tuple[Tensor, Tensor]:
    """The nearest product of rank r; of a large matrix, nearly that.

    :param matrix: *Shape:* ``(m, n)``.

    :returns: ``(m, r)`` and, its columns orthonormal, ``(n, r)``, where r is at most that of a
        matrix of this shape.
    """
    smaller = min(matrix.shape)

    wanted = smaller if rank is None else min(rank, smaller)

    if matrix.size(0) > matrix.size(1):
        right = _leading(matrix.T, wanted)

        return matrix @ right, right

    left = _leading(matrix, wanted)

    right, mixed = torch.linalg.qr(matrix.T @ left)

    return left @ mixed.T, right


def _leading(matrix: Tensor, num: int) -> Tensor:
    """The leading left singular vectors of a matrix that is not longer than wide."""
    num_probes = num + _OVERSAMPLING

    if len(matrix) <= _MAX_EXACT_DIM or num_probes >= len(matrix) // 2:
        return _leading_exactly(matrix, num)

    # Subspace iteration (Halko et al., 2011).
    generator = torch.Generator().manual_seed(0)

    probes = torch.randn(matrix.size(1), num_probes, generator=generator).to(matrix)

    basis: Tensor = torch.linalg.qr(matrix @ probes).Q

    for _ in range(_NUM_POWER_STEPS):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.T @ basis).Q).Q

    return basis @ _leading_exactly(basis.T @ matrix, num)


def _leading_exactly(matrix: Tensor, num: int) -> Tensor:
    # The square has few rows and columns. Those that it is too coarse to tell apart are so small
    # that it does not matter.
    vectors: Tensor = torch.linalg.eigh(matrix @ matrix.T).eigenvectors

    return vectors[:, -num:]


def concatenate(parts: Sequence[Directions]) -> dict[str, LayerDirections]:
    """The directions of all seeds, in the order of ``parts``."""
    return {
        name: LayerDirections(
            **{
                kind: torch.cat([getattr(part[name], kind) for part in parts])
                for kind in ("left", "right", "energy", "kept")
            }
        )
        for name in parts[0]
    }


def discarded_energy(directions: Directions) -> float:
    """The share of the squared norm, of all seeds and layers, that low rank leaves out."""
    energy, kept = (
        sum(float(getattr(layer, kind).double().sum()) for layer in directions.values())
        for kind in ("energy", "kept")
    )

    return max(0.0, 1.0 - kept / energy) if energy > 0.0 else 0.0


def reorder(directions: Directions, order: Iterable[int]) -> dict[str, LayerDirections]:
    """The directions of the seeds at these places."""
    places = list(order)

    return {
        name: LayerDirections(
            **{kind: getattr(layer, kind)[places] for kind in ("left", "right", "energy", "kept")}
        )
        for name, layer in directions.items()
    }


def to_tensors(directions: Directions) -> dict[str, Tensor]:
    """For a file."""
    return {
        f"{name}/{kind}": getattr(layer, kind)
        for name, layer in directions.items()
        for kind in ("left", "right", "energy", "kept")
    }


def from_tensors(tensors: Mapping[str, Tensor], device: Device) -> dict[str, LayerDirections]:
    """What :func:`to_tensors` was given."""
    names = dict.fromkeys(name.rpartition("/")[0] for name in tensors)

    return {
        name: LayerDirections(
            **{
                kind: tensors[f"{name}/{kind}"].to(device)
                for kind in ("left", "right", "energy", "kept")
            }
        )
        for name in names
    }
