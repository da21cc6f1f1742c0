"""Test lines that are in the training data, word for word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.pair import Direction

_BLOCK_SIZE = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Which lines of a test set, counted from 1, are in the training data."""

    num_lines: int
    """The lines of the test set."""

    num_training_pairs: int
    """The pairs that they were looked for in."""

    sources: tuple[int, ...] | None
    """Lines whose source is there; ``None`` where the sources are not known."""

    references: tuple[int, ...]
    """Lines of which a reference is there."""

    pairs: tuple[int, ...] | None
    """Lines whose source is there with a reference as its target; ``None`` likewise."""


def find_overlap(
    sources: Sequence[str] | None,
    references: Sequence[Sequence[str]],
    corpus: Corpus,
    direction: Direction,
) -> Overlap:
    """Looks for test lines in ``corpus``; empty ones are not looked for.

    :param sources: The source of each line.
    :param references: One or more references.
    :param direction: That of the test; pairs of the opposite one are turned round.
    """
    lines_by_source: dict[str, list[int]] = defaultdict(list)
    lines_by_reference: dict[str, list[int]] = defaultdict(list)
    lines_by_pair: dict[tuple[str, str], list[int]] = defaultdict(list)

    for number, source in enumerate(sources or [], start=1):
        if source:
            lines_by_source[source].append(number)

    for reference in references:
        for number, text in enumerate(reference, start=1):
            if not text:
                continue

            lines_by_reference[text].append(number)

            if sources is not None and sources[number - 1]:
                lines_by_pair[sources[number - 1], text].append(number)

    found_sources: set[int] = set()
    found_references: set[int] = set()
    found_pairs: set[int] = set()

    for source, target in _read_pairs(corpus, direction):
        found_sources.update(lines_by_source.get(source, ()))

        if target in lines_by_reference:
            found_references.update(lines_by_reference[target])
            found_pairs.update(lines_by_pair.get((source, target), ()))

    has_sources = sources is not None

    return Overlap(
        num_lines=len(references[0]),
        num_training_pairs=len(corpus),
        sources=tuple(sorted(found_sources)) if has_sources else None,
        references=tuple(sorted(found_references)),
        pairs=tuple(sorted(found_pairs)) if has_sources else None,
    )


def _read_pairs(corpus: Corpus, direction: Direction) -> Iterator[tuple[str, str]]:
    opposite = direction.reversed()

    for part in corpus.parts:
        for begin in range(0, len(part), _BLOCK_SIZE):
            rows = np.arange(begin, min(begin + _BLOCK_SIZE, len(part)), dtype=np.int64)

            sources, targets = part.table.texts(rows)

            if part.direction == opposite:
                sources, targets = targets, sources

            yield from zip(sources, targets, strict=True)
