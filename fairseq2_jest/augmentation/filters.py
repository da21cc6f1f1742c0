"""Which synthetic pairs are not worth training on."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from fairseq2_jest.augmentation.config import FilterConfig
from fairseq2_jest.augmentation.language_identification import LanguageLikelihood, is_of_language
from fairseq2_jest.corpus.cleaning import Reason, pair_damage
from fairseq2_jest.corpus.config import CleaningConfig

# A unit of up to 64 characters four times in a row or more. The longest unit comes first: a short
# one may stand four times in a longer, as in "bzzzz bzzzz bzzzz bzzzz".
_LOOP: Final = re.compile(r"(.{1,64})\1{3,}", re.DOTALL)

_MIN_LOOP_CHARS: Final = 12
"""Shorter ones are dots, dashes, digits, laughter."""

_MIN_WORDS: Final = 4
"""Of fewer words, all may be names."""

_WORD: Final = re.compile(r"\w+")


class PairFilter:
    """Says why a synthetic pair is rejected."""

    def __init__(self, config: FilterConfig, source_language: LanguageLikelihood) -> None:
        self._config = config
        self._language = source_language

        # The target was cleaned before, and so were its characters.
        self._cleaning = CleaningConfig(
            max_chars=1 << 30,
            max_length_ratio=config.max_length_ratio,
            length_slack=config.length_slack,
            reject_copies=config.max_copied_share is not None,
        )

    def __call__(self, source: str, target: str) -> Reason | None:
        """The reason, ``None`` for a pair to keep; the cheapest are looked for first."""
        config = self._config

        if damage := pair_damage(source, target, self._cleaning):
            return damage

        copied, loops = config.max_copied_share, config.max_loop_share

        if copied is not None and copied_share(source, target) > copied:
            return Reason.COPY

        if loops is not None and loop_share(source) > loops >= loop_share(target):
            return Reason.LOOP

        if not is_of_language(source, self._language, config.min_language_likelihood):
            return Reason.LANGUAGE

        return None


def copied_share(source: str, target: str) -> float:
    """The share of the words of ``source`` that stand in ``target``, each as often as there; 0 for
    a source of few words."""
    words = Counter(_WORD.findall(source.casefold()))

    if words.total() < _MIN_WORDS:
        return 0.0

    return (words & Counter(_WORD.findall(target.casefold()))).total() / words.total()


def loop_share(text: str) -> float:
    """The share of ``text`` that is its longest stretch in which something comes four times or more
    in a row, give or take a fourth of it; 0 where that is short."""
    longest = max((len(match.group()) for match in _LOOP.finditer(text)), default=0)

    return longest / len(text) if longest >= _MIN_LOOP_CHARS else 0.0
