"""Every figure in the README's tables stands in one row of a table that a benchmark has stored."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from tests.repository import README, REPOSITORY

MEASURED: Final = README.partition("## What was measured")[2].partition("\n## ")[0]


def read_rows(text: str) -> list[tuple[str, Counter[str]]]:
    """The rows of all tables that hold figures, each with these."""
    rows = []

    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip(" *") for cell in line.strip("|").split("|")]

            figures = Counter(cell for cell in cells[1:] if cell[:1].isdigit())

            if figures:
                rows.append((cells[0], figures))

    return rows


@pytest.fixture(scope="module")
def stored() -> list[Counter[str]]:
    files = (REPOSITORY / "benchmarks" / "results").rglob("*.md")

    return [figures for f in files for _, figures in read_rows(f.read_text(encoding="utf-8"))]


def test_there_are_figures() -> None:
    assert len(read_rows(MEASURED)) > 20


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        pytest.param(name, figures, id=f"{i}-{name}")
        for i, (name, figures) in enumerate(read_rows(MEASURED))
    ],
)
def test_figures_are_stored(name: str, figures: Counter[str], stored: list[Counter[str]]) -> None:
    assert any(figures <= row for row in stored), f"No benchmark printed {name}: {list(figures)}"
