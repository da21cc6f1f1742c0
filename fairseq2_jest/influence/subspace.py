"""The few dimensions of a layer's gradients in which the influence on all seeds lies, nearly.

Among the eigenvectors of ``H``, whose eigenvalues are ``lambda``, the influence of a pair's ``G_m``
on seed ``t`` is minus the dot product of ``X_m = G_m / scale`` and ``W_t = scale G_t / (lambda +
damping)``, ``scale`` being how far gradients spread along each: the numbers of ``X_m`` are alike in
size, and what ``W_t`` has of a direction is what influence varies by along it. Both sides of all
``W_t`` are cut to the leading eigenvectors of ``sum of W_t W_t^T`` and ``sum of W_t^T W_t``: a
higher-order SVD (De Lathauwer et al., 2000) that seeds share. (LoGra, Choe et al. 2024, projects
from both sides, too, onto leading eigenvectors of the curvature.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from fairseq2.device import Device
from torch import Tensor

from fairseq2_jest.influence.curvature import LayerCurvature
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.gradients import LayerTokens
from fairseq2_jest.influence.layer_tensors import LayerSums
from fairseq2_jest.influence.layers import TrackedLayer

_SIDES: Final = ("gradients", "inputs")

_CANDIDATES_PER_DIMENSION: Final = 4
"""Few dimensions lie among not so many eigenvectors, and thousands take long to look at."""


def scaled_seeds(
    tokens: LayerTokens, curvature: LayerCurvature, damping: DampingConfig
) -> Iterator[Tensor]:
    """``W_t`` of each seed of a batch in turn. *Shape of each:* ``(out, in)``."""
    # Among the eigenvectors the inverse is a division.
    weights = torch.outer(*curvature.scales()) / curvature.damped(damping)

    for gradient in curvature.rotate(tokens).each_gradient():
        yield gradient.mul_(weights)


def num_candidates(rank: int | None, dim: int) -> int:
    """How many of the leading eigenvectors of a side are looked at for so many dimensions."""
    return dim if rank is None else min(_CANDIDATES_PER_DIMENSION * rank, dim)


class ModeSums(LayerSums):
    """``sum of W_t W_t^T`` and ``sum of W_t^T W_t`` over seeds, among leading eigenvectors.

    For each layer ``<name>/gradients`` ``(k, k)``, ``<name>/inputs`` ``(l, l)``, and
    ``<name>/energy`` ``()``, the sum of the whole ``|W_t|^2``.
    """

    @staticmethod
    def zeros(
        layers: Sequence[TrackedLayer], rank: int | None, device: Device, dtype: torch.dtype
    ) -> ModeSums:
        """Sums of nothing.

        :param rank: The most dimensions that will be wanted of a side; ``None`` for all.
        """
        tensors = {}

        for layer in layers:
            for side, dim in (("gradients", layer.output_dim), ("inputs", layer.input_dim)):
                num = num_candidates(rank, dim)

                tensors[f"{layer.name}/{side}"] = torch.zeros(num, num, device=device, dtype=dtype)

            tensors[f"{layer.name}/energy"] = torch.zeros((), device=device, dtype=dtype)

        return ModeSums(tensors)

    def add(
        self,
        tokens: Mapping[str, LayerTokens],
        curvatures: Mapping[str, LayerCurvature],
        damping: DampingConfig,
    ) -> None:
        """Adds the seeds of a batch."""
        for name, layer in tokens.items():
            gradients, inputs = (self.tensors[f"{name}/{side}"] for side in _SIDES)

            for scaled in scaled_seeds(layer, curvatures[name], damping):
                self.tensors[f"{name}/energy"] += scaled.square().sum()

                leading = scaled[-len(gradients) :, -len(inputs) :]

                gradients.addmm_(leading, leading.T)
                inputs.addmm_(leading.T, leading)


@dataclass(frozen=True, kw_only=True)
class LayerSubspace:
    """The dimensions of a layer's gradients that are looked at: p by q of them."""

    gradient_axes: Tensor
    """Orthonormal columns, among the last k eigenvectors. *Shape:* ``(k, p)``, fp32."""

    input_axes: Tensor
    """*Shape:* ``(l, q)``, fp32."""

    def core(self, scaled: Tensor) -> Tensor:
        """What a ``W_t`` is in these dimensions. *Shape of the result:* ``(p, q)``."""
        leading = scaled[-len(self.gradient_axes) :, -len(self.input_axes) :]

        return self.gradient_axes.T @ leading @ self.input_axes

    def vectors(self, curvature: LayerCurvature) -> tuple[Tensor, Tensor]:
        """What takes a gradient to its ``X`` in these dimensions, by
        :meth:`~fairseq2_jest.influence.gradients.LayerTokens.project`.

        *Shape:* ``(out, p)`` and ``(in, q)``.
        """
        gradient_scales, input_scales = curvature.scales()

        return self._among_units(curvature, 1.0 / gradient_scales, 1.0 / input_scales)

    def duals(self, curvature: LayerCurvature) -> tuple[Tensor, Tensor]:
        """What takes a gradient to that whose dot product with the ``X`` of another is theirs."""
        return self._among_units(curvature, *curvature.scales())

    def _among_units(
        self, curvature: LayerCurvature, gradient_scales: Tensor, input_scales: Tensor
    ) -> tuple[Tensor, Tensor]:
        sides = (
            (self.gradient_axes, curvature.gradient_vectors, gradient_scales),
            (self.input_axes, curvature.input_vectors, input_scales),
        )

        gradients, inputs = (
            eigenvectors[:, -len(axes) :] @ (scales[-len(axes) :].unsqueeze(1) * axes)
            for axes, eigenvectors, scales in sides
        )

        return gradients, inputs


def find_subspaces(
    layers: Sequence[TrackedLayer],
    shards: Sequence[ModeSums],
    *,
    max_discarded: float,
    rank: int | None,
    device: Device,
) -> dict[str, LayerSubspace]:
    """The fewest dimensions, of all layers together, on the CPU.

    :param max_discarded: The share of ``sum of |W_t|^2`` that may be left out, all layers together;
        at the most so much is, but for ``rank``.
    :param rank: The most dimensions of a side; ``None`` for all.
    """
    modes = {}

    energy, missed = 0.0, 0.0

    for layer in layers:
        # One layer is on `device` at a time: all of them in fp64 would take more than the model.
        sums = ModeSums.zeros([layer], rank, device, torch.float64)

        for shard in shards:
            sums.add_sums(shard)

        for side in _SIDES:
            values, vectors = torch.linalg.eigh(sums.tensors[f"{layer.name}/{side}"])

            # Rounding puts zeros a little below.
            modes[layer.name, side] = (
                values.clamp(min=0.0).cpu(),
                _last(vectors, rank).float().cpu(),
            )

        whole = float(sums.tensors[f"{layer.name}/energy"])

        energy += whole
        missed += max(0.0, whole - float(values.sum()))

    ascending = torch.cat([values for values, _ in modes.values()]).sort().values

    num_discarded = int((ascending.cumsum(dim=0) <= max_discarded * energy - missed).sum())

    least = float(ascending[num_discarded]) if num_discarded < len(ascending) else float("inf")

    def axes(layer: TrackedLayer, side: str) -> Tensor:
        values, vectors = modes[layer.name, side]

        # A layer that no seed says anything about keeps one, too.
        return _last(vectors, max(int((values >= least).sum()), 1)).contiguous()

    return {
        layer.name: LayerSubspace(
            gradient_axes=axes(layer, "gradients"), input_axes=axes(layer, "inputs")
        )
        for layer in layers
    }


def _last(vectors: Tensor, num: int | None) -> Tensor:
    return vectors if num is None else vectors[:, -num:]
