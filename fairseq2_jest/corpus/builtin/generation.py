"""Rows of one part of the built-in corpus, clean and spoiled."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple, TypeVar

from fairseq2_jest.corpus.builtin import english, german
from fairseq2_jest.corpus.builtin.config import BuiltinConfig
from fairseq2_jest.corpus.builtin.duplicates import near_duplicate
from fairseq2_jest.corpus.builtin.noise import spoil
from fairseq2_jest.corpus.builtin.parts import part_of, words_of
from fairseq2_jest.corpus.builtin.sampler import Sampler
from fairseq2_jest.corpus.builtin.syntax import Sentence
from fairseq2_jest.corpus.errors import CorpusError

VERSION: Final = 1
"""Raised whenever the rows of an unchanged configuration change."""

_PATIENCE: Final = 20_000
"""Draws in a row that yield nothing new before the grammar counts as exhausted."""

T = TypeVar("T")


class LabelledPair(NamedTuple):
    """An English sentence, its German side, and what is true of the row.

    ``label`` is ``clean``, ``known``, ``duplicate``, or the kind of noise.
    """

    source: str
    target: str
    label: str


class CleanRow(NamedTuple):
    """A clean pair with the tree that both sides are realised from."""

    sentence: Sentence
    source: str
    target: str


def _stream(part: str, seed: int) -> Iterator[CleanRow]:
    """Distinct clean pairs of a part, endless until the grammar has no more to give."""
    sampler = Sampler(random.Random(seed), core=part == "pretrain")
    seen: set[str] = set()
    idle = 0
    while idle < _PATIENCE:
        sentence = sampler.sentence()
        target = german.realise(sentence)
        if part_of(target) != part or (key := words_of(target)) in seen:
            idle += 1
            continue
        seen.add(key)
        idle = 0
        yield CleanRow(sentence, english.realise(sentence), target)


def _take(stream: Iterator[CleanRow], part: str, count: int) -> list[CleanRow]:
    rows = list(islice(stream, count))
    if len(rows) < count:
        raise CorpusError(
            f"The built-in grammar has too few distinct sentences of the part '{part}' for this "
            "`size`; lower it."
        )
    return rows


def shuffle(items: list[T], rng: random.Random) -> None:
    """Shuffle in place by ``rng.random()`` alone, whose stream no Python release changes."""
    for i in range(len(items) - 1, 0, -1):
        j = int(rng.random() * (i + 1))
        items[i], items[j] = items[j], items[i]


def _noisy(
    stream: Iterator[CleanRow], count: int, config: BuiltinConfig, rng: random.Random
) -> list[LabelledPair]:
    # At least two sentences, since a misaligned target needs another one to come from.
    rows = _take(stream, config.part, max(count, 2))
    targets = sorted((row.target for row in rows), key=lambda text: (len(text.split()), text))
    waiting = iter(rows)
    noisy: list[LabelledPair] = []
    while len(noisy) < count:
        # Some sentences cannot be spoiled in the kind that is due; others take their place.
        row = next(waiting, None) or _take(stream, config.part, 1)[0]
        kind = config.noise_kinds[len(noisy) % len(config.noise_kinds)]
        target = spoil(kind, row.sentence, row.source, row.target, targets, config.part, rng)
        if target is not None:
            noisy.append(LabelledPair(row.source, target, kind))
    return noisy


def generate(config: BuiltinConfig) -> Iterator[LabelledPair]:
    """Yield ``config.size`` rows in a shuffled order that depends on ``config`` alone.

    Exactly ``round(size * noise_share)`` rows are noise, kinds differing by at most one row. The
    ``known`` rows are the first that ``pretrain`` of the same seed draws, so that a ``pretrain``
    of that seed and of their number or more holds them all. No two rows
    labelled ``clean`` or ``known`` share a source or a target.

    :raises CorpusError: If a field of ``config`` is not valid, or the grammar has too few
        sentences.
    """
    if errors := config.errors():
        raise CorpusError(errors[0])
    num_noise = round(config.size * config.noise_share)
    num_clean = config.size - num_noise
    num_known = round(num_clean * config.known_share)
    num_duplicates = min(
        round(num_clean * config.duplicate_share), max(0, num_clean - num_known - 1)
    )
    num_plain = num_clean - num_known - num_duplicates
    stream = _stream(config.part, config.seed)
    plain = _take(stream, config.part, num_plain)
    rng = random.Random(config.seed + 1_000_003)
    rows = [LabelledPair(row.source, row.target, "clean") for row in plain]
    if num_known:
        known = _take(_stream("pretrain", config.seed), "pretrain", num_known)
        rows += [LabelledPair(row.source, row.target, "known") for row in known]
    taken = {(row.source, row.target) for row in rows}
    index = 0
    while num_duplicates:
        row = plain[index % len(plain)]
        index += 1
        pair = near_duplicate(row.sentence, row.source, row.target, config.part, rng)
        if pair is None or pair in taken:
            if index > _PATIENCE + 50 * len(plain):
                raise CorpusError(
                    "The clean rows have too few near-duplicates; lower `duplicate_share`."
                )
            continue
        taken.add(pair)
        rows.append(LabelledPair(*pair, "duplicate"))
        num_duplicates -= 1
    if num_noise:
        rows += _noisy(stream, num_noise, config, rng)
    shuffle(rows, rng)
    yield from rows
