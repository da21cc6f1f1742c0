"""Scores that a pair's two texts give by themselves, without any model."""

from __future__ import annotations

import re

from fairseq2_jest.corpus.cleaning import pair_damage
from fairseq2_jest.corpus.config import CleaningConfig


def length_ratio(source: str, target: str) -> float:
    """The shorter text's length by the longer one's."""
    return min(len(source), len(target)) / max(len(source), len(target))


def passes_cleaning(source: str, target: str) -> float:
    """1 where the package's cleaning lets a pair pass, at limits that mean it."""
    config = CleaningConfig(
        min_chars=10, max_chars=1000, max_length_ratio=2.0, length_slack=5, reject_copies=True
    )

    return float(pair_damage(source, target, config) is None)


def cheap_rules(source: str, target: str) -> float:
    """How many of six rules a pair keeps: lengths, copies, characters, numbers."""
    words = [set(re.findall(r"\w+", text.casefold())) for text in (source, target)]

    letters = [sum(c.isalpha() for c in text) / max(1, len(text)) for text in (source, target)]

    numbers = [sorted(re.findall(r"\d+", text)) for text in (source, target)]

    rules = (
        min(len(source), len(target)) >= 10,
        length_ratio(source, target) >= 0.5,
        # Names and terms are the same in both, a sentence is not.
        len(words[0] & words[1]) <= 0.5 * max(1, min(map(len, words))),
        min(letters) >= 0.6,
        abs(letters[0] - letters[1]) <= 0.1,
        numbers[0] == numbers[1],
    )

    return float(sum(rules))
