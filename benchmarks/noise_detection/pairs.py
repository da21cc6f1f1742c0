"""Pairs that people have judged, and trusted ones to learn from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.bitext import Pair, read_pairs

GOOD: Final = frozenset({"V", "F"})

BAD: Final = frozenset({"A", "L"})

MAX_PAIRS: Final = 10_000
"""Of each corpus to learn from."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Pairs with a person's verdict."""

    pairs: Sequence[Pair]
    is_good: NDArray[np.bool_]
    bicleaner: Scores


def read_judged(folder: Path) -> Judged:
    """The pairs that are good or bad; those of other labels are left out."""
    pairs = read_pairs(folder)

    lines = (folder / "train.labels.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")

    columns = [line.split("\t") for line in lines]

    kept = [
        (pair, label in GOOD, float(bicleaner))
        for pair, (label, bicleaner, *_) in zip(pairs, columns, strict=True)
        if label in GOOD | BAD
    ]

    return Judged(
        pairs=[pair for pair, _, _ in kept],
        is_good=np.array([is_good for _, is_good, _ in kept]),
        bicleaner=np.array([bicleaner for _, _, bicleaner in kept]),
    )


def read_trusted(folder: Path) -> dict[str, list[Pair]]:
    """Corpora to learn from, in running text; the one that has no file is left out."""
    corpora = {}

    if (folder / "wmt-demo-ende").is_dir():
        corpora["wmt-demo"] = [
            (detokenised(source), detokenised(target))
            for source, target in read_pairs(folder / "wmt-demo-ende")[:MAX_PAIRS]
        ]

    for name in ("multi30k", "bible"):
        if (folder / f"{name}-ende").is_dir():
            corpora[name] = read_pairs(folder / f"{name}-ende")[:MAX_PAIRS]

    ted = folder / "ted-mqm-ende"

    if ted.is_dir():
        lines = (ted / "train.scores.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")

        # A person's translation, one a sentence; the rest is the output of systems.
        corpora["ted"] = [
            pair
            for pair, line in zip(read_pairs(ted), lines, strict=True)
            if line.startswith("ref-A\t")
        ]

    if not corpora:
        raise SystemExit(f"There is no corpus to learn from at {folder}; name one with --corpora.")

    return corpora


def detokenised(text: str) -> str:
    """Undoes the blanks that Moses puts around punctuation."""
    text = re.sub(r" ([.,;:!?%)\]}»“’])", r"\1", text)
    text = re.sub(r"([(\[{«„]) ", r"\1", text)

    return re.sub(r" ('s|'re|'ve|'ll|'d|'m|n't)\b", r"\1", text)
