"""Results side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.influence.speed.sides import OURS, SIDES
from benchmarks.markdown import markdown_table

_COLUMNS = (
    "pairs",
    "side",
    "turns",
    "curvature",
    "seeds and pool",
    "pairs per second",
    "ours to it",
    "peak memory",
    "correlation with ours",
    "with nothing left out",
)


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """The medians of each side at each size of the pool as a Markdown table.

    The ratio is that of the pairs per second of the pass over the pool, preconditioning the seeds
    included, to those of each other side. Memory is the most that was resident, and how much more
    that is than before anything was computed. A side that leaves nothing out is correlated with
    ours as it usually is, and with ours that leaves nothing out, too.
    """
    groups: dict[tuple[int, str], list[Mapping[str, Any]]] = {}

    for run in runs:
        groups.setdefault((run["pairs"], run["side"]), []).append(run)

    rows = []

    def rate(group: Sequence[Mapping[str, Any]]) -> float:
        return median(float(run["pairs"] / run["scoring_seconds"]) for run in group)

    for (num_pairs, side), group in sorted(groups.items(), key=lambda item: _place(*item[0])):
        ours = groups.get((num_pairs, OURS))

        rows.append(
            [
                f"{num_pairs:,}",
                side,
                str(len(group)),
                f"{median(run['curvature_seconds'] for run in group):.1f} s",
                f"{median(run['scoring_seconds'] for run in group):.1f} s",
                f"{rate(group):.0f}",
                f"{rate(ours) / rate(group):.1f}" if ours and side != OURS else "",
                f"{median(run['peak_bytes'] for run in group) / 1e6:,.0f} MB"
                f" (+{median(run['peak_bytes'] - run['start_bytes'] for run in group) / 1e6:,.0f})",
                *(
                    f"{group[-1][key]:.4f}" if key in group[-1] else ""
                    for key in ("correlation", "correlation_of_whole")
                ),
            ]
        )

    return markdown_table(_COLUMNS, rows)


def _place(num_pairs: int, side: str) -> tuple[int, int]:
    return num_pairs, SIDES.index(side)
