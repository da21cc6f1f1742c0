"""Tables of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows under their columns' names."""
    lines = [columns, ["---"] * len(columns), *rows]

    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in lines)
