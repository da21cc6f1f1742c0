"""Which pairs are good enough, by their influence on the seeds.

"Helpful to every seed", as published (Eq. 4), keeps next to nothing; it is
``min_helpful_fraction`` 1 here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from fairseq2.utils.validation import Validatable, ValidationResult
from numpy.typing import NDArray
from typing_extensions import override

PREVIEW_FRACTIONS: Final = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
PREVIEW_QUANTILES: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)


@dataclass(frozen=True, kw_only=True)
class RuleConfig(Validatable):
    """Which pairs pass. A pair without scores, since it is too long, never does."""

    kind: Literal["helpful_fraction", "quantile", "top_k"] = "quantile"
    """``helpful_fraction``: those that help enough of the seeds. ``quantile`` and ``top_k``: those
    of the lowest, hence most helpful, mean influence."""

    min_helpful_fraction: float = 1.0
    """The share of seeds on which influence must be negative, for ``helpful_fraction``; the paper's
    is 1."""

    quantile: float = 0.3
    """The share of the scored pairs that passes, for ``quantile``."""

    top_k: int = 1000
    """How many pairs pass, for ``top_k``."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if not 0.0 < self.min_helpful_fraction <= 1.0:
            result.add_error(
                f"`min_helpful_fraction` must be above 0 and at most 1, but is "
                f"{self.min_helpful_fraction}."
            )
        if not 0.0 < self.quantile <= 1.0:
            result.add_error(f"`quantile` must be above 0 and at most 1, but is {self.quantile}.")
        if self.top_k < 1:
            result.add_error(f"`top_k` must be at least 1, but is {self.top_k}.")

        return result


@dataclass(frozen=True, kw_only=True)
class ScoreSummary:
    """What a pair's influences on T seeds come to, for each of N pairs; NaN for one not scored."""

    mean: NDArray[np.float32]
    """*Shape:* ``(N)``."""

    minimum: NDArray[np.float32]
    """The most helpful one. *Shape:* ``(N)``."""

    helpful_fraction: NDArray[np.float32]
    """The share that is negative. *Shape:* ``(N)``."""

    @property
    def is_scored(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.mean)


def summarize(scores: NDArray[np.float32]) -> ScoreSummary:
    """
    :param scores: *Shape:* ``(N, T)``; all NaN for a pair that is not scored.
    """
    fraction = (scores < 0.0).mean(axis=1, dtype=np.float64).astype(np.float32)

    mean = scores.mean(axis=1, dtype=np.float64).astype(np.float32)

    fraction[np.isnan(mean)] = np.nan

    return ScoreSummary(mean=mean, minimum=scores.min(axis=1), helpful_fraction=fraction)


def passing_rows(summary: ScoreSummary, config: RuleConfig) -> NDArray[np.int64]:
    """The rows that pass, ascending; of equal means, those of lower rows."""
    if config.kind == "helpful_fraction":
        with np.errstate(invalid="ignore"):
            return np.flatnonzero(_reaches(summary.helpful_fraction, config.min_helpful_fraction))

    rows = np.flatnonzero(summary.is_scored)

    wanted = config.top_k if config.kind == "top_k" else round(config.quantile * len(rows))

    # A stable sort, for what passes to be told by the scores alone.
    order = np.argsort(summary.mean[rows], kind="stable")

    return np.sort(rows[order[:wanted]])


def preview(summary: ScoreSummary) -> dict[str, int]:
    """How many pairs each of a range of settings would keep."""
    counts = {}

    for fraction in PREVIEW_FRACTIONS:
        rule = RuleConfig(kind="helpful_fraction", min_helpful_fraction=fraction)

        counts[f"min_helpful_fraction {fraction}"] = len(passing_rows(summary, rule))

    num_scored = int(summary.is_scored.sum())

    for quantile in PREVIEW_QUANTILES:
        counts[f"quantile {quantile}"] = round(quantile * num_scored)

    return counts


def _reaches(values: NDArray[np.float32], least: float) -> NDArray[np.bool_]:
    # 0.9 in float32 is a little less than 0.9.
    reaches: NDArray[np.bool_] = values >= least - 1e-6

    return reaches
