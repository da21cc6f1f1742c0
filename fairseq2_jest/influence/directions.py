"""Preconditioned gradients of seeds in a subspace that they share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from fairseq2_jest.influence.curvature import LayerCurvature
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.gradients import BatchGradients, LayerTokens
from fairseq2_jest.influence.subspace import LayerSubspace, scaled_seeds

_MAX_ELEMENTS: Final = 1 << 24
"""Numbers of projected gradients that are in memory at once."""


@dataclass(frozen=True, kw_only=True)
class SeedCores:
    """``(H + damping)^-1 g_t`` of T seeds for one layer, in its subspace of p by q dimensions."""

    cores: Tensor
    """*Shape:* ``(T, p, q)``, fp32."""

    energy: Tensor
    """``|W_t|^2`` of each whole one (see :mod:`fairseq2_jest.influence.subspace`), up to a factor
    of the layer the variance of the influence on it. *Shape:* ``(T)``."""

    kept: Tensor
    """That of each core. *Shape:* ``(T)``."""


@dataclass(frozen=True, kw_only=True)
class LayerDirections:
    """One layer's ``(H + damping)^-1 g_t`` as ``B C_t D^T``, a Tucker decomposition."""

    gradient_vectors: Tensor
    """``B``, for all seeds. *Shape:* ``(out, p)``, fp32."""

    input_vectors: Tensor
    """``D``, for all seeds. *Shape:* ``(in, q)``, fp32."""

    cores: Tensor
    """``C_t``, each in one column. *Shape:* ``(p q, T)``, fp32."""

    def products(self, tokens: LayerTokens) -> Tensor:
        """The dot product of each of N pairs' gradients with each direction.

        *Shape of the result:* ``(N, T)``.
        """
        turned = tokens.rotate(self.gradient_vectors, self.input_vectors)

        step = max(1, _MAX_ELEMENTS // len(self.cores))

        parts = zip(turned.gradients.split(step), turned.inputs.split(step), strict=True)

        return torch.cat(
            [(grads.mT @ inputs).flatten(start_dim=1) @ self.cores for grads, inputs in parts]
        )


Directions = Mapping[str, LayerDirections]


def seed_cores(
    batch: BatchGradients,
    curvatures: Mapping[str, LayerCurvature],
    subspaces: Mapping[str, LayerSubspace],
    damping: DampingConfig,
) -> dict[str, SeedCores]:
    """Preconditions the seeds of a batch one by one, in their order in the batch."""
    found = {}

    for name, tokens in batch.layers.items():
        subspace = subspaces[name]

        energy, cores = [], []

        for scaled in scaled_seeds(tokens, curvatures[name], damping):
            energy.append(scaled.square().sum())
            cores.append(subspace.core(scaled))

        stacked = torch.stack(cores)

        found[name] = SeedCores(
            cores=stacked, energy=torch.stack(energy), kept=stacked.square().sum(dim=(1, 2))
        )

    return found


def raw_cores(
    batch: BatchGradients,
    curvatures: Mapping[str, LayerCurvature],
    subspaces: Mapping[str, LayerSubspace],
) -> dict[str, Tensor]:
    """The cores of the seeds' gradients as they are, as far as the subspace has them.

    *Shape of each:* ``(T, p, q)``, in their order in the batch.
    """
    return {
        name: tokens.project(*subspaces[name].duals(curvatures[name]))
        for name, tokens in batch.layers.items()
    }


def directions_of(
    cores: Mapping[str, Tensor],
    curvatures: Mapping[str, LayerCurvature],
    subspaces: Mapping[str, LayerSubspace],
) -> dict[str, LayerDirections]:
    """What pairs of the pool are multiplied by, where the curvature is.

    :param cores: Of the layers of ``subspaces``, on any device.
    """
    directions = {}

    for name, subspace in subspaces.items():
        gradient_vectors, input_vectors = subspace.vectors(curvatures[name])

        directions[name] = LayerDirections(
            gradient_vectors=gradient_vectors,
            input_vectors=input_vectors,
            # In one piece, which is a third faster.
            cores=cores[name].flatten(start_dim=1).T.contiguous().to(gradient_vectors.device),
        )

    return directions


def discarded_energy(seeds: Mapping[str, SeedCores]) -> float:
    """The share of the energy, of all seeds and layers, that the subspaces leave out."""
    energy, kept = (
        sum(float(getattr(layer, kind).double().sum()) for layer in seeds.values())
        for kind in ("energy", "kept")
    )

    return max(0.0, 1.0 - kept / energy) if energy > 0.0 else 0.0
