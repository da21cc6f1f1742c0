"""Comparing scores by the area under their ROC curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks.markdown import markdown_table
from benchmarks.noise_detection.pairs import Scores

NUM_RESAMPLES: Final = 500


def compare(
    is_good: NDArray[np.bool_], scores: Mapping[str, Scores], num_resamples: int = NUM_RESAMPLES
) -> list[dict[str, Any]]:
    """AUC of each score with its interval, and that of its lead over the first one.

    :returns: Rows of ``name``, ``auc``, ``interval``, ``lead`` and ``lead_interval``.
    """
    generator = np.random.default_rng(1)

    resamples: list[NDArray[np.int64]] = []

    while len(resamples) < num_resamples:
        resample = generator.integers(len(is_good), size=len(is_good))

        # An AUC needs one of each.
        if 0 < is_good[resample].sum() < len(is_good):
            resamples.append(resample)

    def aucs(score: Scores) -> Scores:
        return np.array([roc_auc_score(is_good[places], score[places]) for places in resamples])

    rows: list[dict[str, Any]] = []

    first: tuple[float, Scores] | None = None

    for name, score in scores.items():
        auc, resampled = float(roc_auc_score(is_good, score)), aucs(score)

        first = first or (auc, resampled)

        rows.append(
            {
                "name": name,
                "auc": auc,
                "interval": _interval(resampled),
                "lead": auc - first[0],
                "lead_interval": _interval(resampled - first[1]),
            }
        )

    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table; leads are over the first row."""
    first = rows[0]["name"].split(" (")[0]

    told = []

    for row in rows:
        low, high = row["interval"]
        lead_low, lead_high = row["lead_interval"]

        lead = "" if row is rows[0] else f"{row['lead']:+.3f} ({lead_low:+.3f} to {lead_high:+.3f})"

        told.append([row["name"], f"{row['auc']:.3f}", f"{low:.3f} to {high:.3f}", lead])

    return markdown_table(["score", "AUC", "95 % interval", f"lead over {first}"], told)


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """What held and what did not, in sentences made from the figures."""
    baseline, others = rows[0], rows[1:]

    def told(row: Mapping[str, Any]) -> str:
        return f"{row['name']} ({row['auc']:.3f})"

    groups: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        f"Ahead of {baseline['name']}": lambda row: row["lead_interval"][0] > 0.0,
        "Not told apart from it": lambda row: (
            row["lead_interval"][0] <= 0.0 <= row["lead_interval"][1]
        ),
        "Better than chance, but behind it": lambda row: (
            row["interval"][0] > 0.5 and row["lead_interval"][1] < 0.0
        ),
        "No better than chance": lambda row: (
            row["interval"][0] <= 0.5 <= row["interval"][1] and row["lead_interval"][1] < 0.0
        ),
        "Prefers bad pairs": lambda row: row["interval"][1] < 0.5 and row["lead_interval"][1] < 0.0,
    }

    return "\n".join(
        f"- {title}: {'; '.join(told(row) for row in others if belongs(row)) or 'none'}."
        for title, belongs in groups.items()
    )


def _interval(values: Scores) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])

    return float(low), float(high)
