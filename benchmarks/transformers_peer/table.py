"""Ratios of seconds, and the table of them."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any


def row(what: str, ours: Sequence[float], theirs: Sequence[float], **more: Any) -> dict[str, Any]:
    """How many times as fast ours is, turn by turn, with the seconds that it comes from."""
    ratios = sorted(t / o for o, t in zip(ours, theirs, strict=True))

    return {
        "what": what,
        "ratio": median(ratios),
        "least": ratios[0],
        "most": ratios[-1],
        "turns": len(ratios),
        "our_seconds": list(ours),
        "their_seconds": list(theirs),
        **more,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table."""
    lines = [
        "| | times as fast, median (least to most) | turns | what was compared |",
        "|---|---|---|---|",
    ]

    lines += [
        f"| {r['what']} | **{r['ratio']:.2f}** ({r['least']:.2f}-{r['most']:.2f}) | {r['turns']} "
        f"| {r['note']} |"
        for r in rows
    ]

    return "\n".join(lines)
