"""How the influence of each layer came about, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from fairseq2_jest.influence.curvature import LayerCurvature
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.directions import SeedCores

_NUM_QUANTILES: Final = 21

_MAX_SAMPLE: Final = 1_000_000


@dataclass(frozen=True, kw_only=True)
class LayerDiagnosis:
    """How the influence of one layer came about."""

    name: str
    """The layer."""

    eigenvalues: Sequence[float]
    """Quantiles of its curvature's eigenvalues, ascending and evenly spaced, 0 and 1 included."""

    damping: float
    """What was added to them."""

    energy: float
    """Its share of what influence varies by, all seeds together."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """How influence came about."""

    layers: Sequence[LayerDiagnosis]
    """In the order of the model."""

    discarded_energy: float
    """The share of what influence varies by that lies outside the dimensions looked at."""

    raw_correlation: float | None
    """Correlation, over pairs of a sample, of the influence on a seed with the plain dot product of
    gradients, in those dimensions; the mean over seeds. ``None`` where all pairs came to the
    same."""


def diagnose_layers(
    curvatures: Mapping[str, LayerCurvature],
    seeds: Mapping[str, SeedCores],
    damping: DampingConfig,
) -> list[LayerDiagnosis]:
    """
    :param seeds: Of the same layers.
    """
    energies = {name: float(layer.energy.double().sum()) for name, layer in seeds.items()}

    total = sum(energies.values())

    return [
        LayerDiagnosis(
            name=name,
            eigenvalues=_quantiles(curvature.eigenvalues),
            damping=curvature.damping(damping),
            energy=energies[name] / total if total > 0.0 else 0.0,
        )
        for name, curvature in curvatures.items()
    ]


def _quantiles(eigenvalues: torch.Tensor) -> list[float]:
    values = eigenvalues.flatten()

    # Sorting a hundred million would take longer than it tells.
    stride = -(-len(values) // _MAX_SAMPLE)

    values = torch.cat([values[::stride], values.max().unsqueeze(0)]).double()

    places = torch.linspace(0.0, 1.0, _NUM_QUANTILES, dtype=torch.float64, device=values.device)

    return torch.quantile(values, places).tolist()


def mean_correlation(first: torch.Tensor, second: torch.Tensor) -> float | None:
    """The mean over columns of the correlation of one column with the other, for columns that vary;
    ``None`` where there is none.

    :param first: *Shape:* ``(N, T)``.
    :param second: *Shape:* ``(N, T)``.
    """
    deviations = [scores.double() - scores.double().mean(dim=0) for scores in (first, second)]

    norms = [deviation.norm(dim=0) for deviation in deviations]

    varies = (norms[0] > 0.0) & (norms[1] > 0.0)

    if not varies.any():
        return None

    products = (deviations[0] * deviations[1]).sum(dim=0) / (norms[0] * norms[1])

    return float(products[varies].mean())
