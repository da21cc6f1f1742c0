"""Ratios of seconds, and the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

from benchmarks.markdown import markdown_table


def ratios(
    what: str, ours: Sequence[float], theirs: Sequence[float], **more: Any
) -> dict[str, Any]:
    """How many times as fast ours is, turn by turn, with the seconds that it comes from."""
    by_turn = sorted(t / o for o, t in zip(ours, theirs, strict=True))

    return {
        "what": what,
        "ratio": median(by_turn),
        "least": by_turn[0],
        "most": by_turn[-1],
        "turns": len(by_turn),
        "our_seconds": list(ours),
        "their_seconds": list(theirs),
        **more,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    return markdown_table(
        ("", "times as fast, median (least to most)", "turns", "what was compared"),
        [
            (
                r["what"],
                f"**{r['ratio']:.2f}** ({r['least']:.2f}-{r['most']:.2f})",
                r["turns"],
                r["note"],
            )
            for r in rows
        ],
    )
