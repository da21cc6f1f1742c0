"""The table of what selecting costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.markdown import markdown_table


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    titles = (
        "learner's view",
        "selecting",
        "ratio",
        "reading",
        "training",
        "share of step",
        "FLOPs for each of training, predicted",
        "counted",
        "padding",
    )

    told = []

    for row in rows:
        ratio = row["selecting"] / rows[0]["selecting"]

        told.append(
            (
                row["name"],
                _seconds(row["selecting"]),
                f"{ratio:.2f}" if ratio >= 0.01 else f"{ratio:.4f}",
                _seconds(row["reading"]),
                _seconds(row["training"]),
                f"{row['share']:.1%}",
                f"{row['predicted_flops']:.2f}",
                f"{row['counted_flops']:.2f}",
                "" if row["padding"] is None else f"{row['padding']:.1%}",
            )
        )

    return markdown_table(titles, told)


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.1f} ms"
