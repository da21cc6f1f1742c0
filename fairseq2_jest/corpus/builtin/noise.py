"""Noise whose kind is known: what web-mined parallel text is full of."""

from __future__ import annotations

import bisect
import random
from collections.abc import Callable, Sequence

from fairseq2_jest.corpus.builtin import esperanto
from fairseq2_jest.corpus.builtin.parts import part_of, words_of
from fairseq2_jest.corpus.builtin.syntax import Sentence


def _misaligned(target: str, targets: Sequence[str], rng: random.Random) -> str:
    """Another target of about the same number of words, so that its length tells nothing."""
    length = len(target.split())
    for slack in range(1, 64):
        low = bisect.bisect_left(targets, length - slack, key=_length)
        high = bisect.bisect_right(targets, length + slack, key=_length)
        if high - low > 1:
            while True:
                other = targets[low + int(rng.random() * (high - low))]
                if other != target:
                    return other
    return next(other for other in targets if other != target)


def _length(text: str) -> int:
    return len(text.split())


def _truncated(target: str, rng: random.Random) -> str:
    words = target.split()
    counts = [n for n in range(1, len(words)) if 0.3 * len(words) <= n <= 0.6 * len(words)]
    return " ".join(words[: counts[int(rng.random() * len(counts))]])


def _scrambled(target: str, rng: random.Random) -> str:
    words = target.split()
    for i in range(len(words) - 1, 0, -1):
        j = int(rng.random() * (i + 1))
        words[i], words[j] = words[j], words[i]
    return " ".join(words)


def _of_part(
    make: Callable[[str, random.Random], str], target: str, part: str, rng: random.Random
) -> str | None:
    """Try for a result that differs from ``target`` and is of its part.

    A cut or shuffled sentence may happen to be a right sentence of, say, ``test``.
    """
    for _ in range(40):
        made = make(target, rng)
        if words_of(made) != words_of(target) and part_of(made) == part:
            return made
    return None


def spoil(
    kind: str,
    sentence: Sentence,
    source: str,
    target: str,
    targets: Sequence[str],
    part: str,
    rng: random.Random,
) -> str | None:
    """The spoiled target of a pair, or None where this sentence cannot be spoiled so.

    :param kind: One of ``NOISE_KINDS``.
    :param targets: At least two targets of ``part`` ordered by their number of words, for
        misalignment.
    """
    if kind == "misaligned":
        return _misaligned(target, targets, rng)
    if kind == "copied_source":
        return source
    if kind == "other_language":
        return esperanto.realise(sentence)
    if kind == "truncated":
        return _of_part(_truncated, target, part, rng)
    return _of_part(_scrambled, target, part, rng)
