"""Cutting a long text into parts that a model can take, and putting their translations together."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from fairseq2_jest.corpus.languages import language_keys

# A cut is behind the match, so that white space stays with what is before it.
_CUTS: Final = (
    # The end of a sentence: its mark and what closes after it; in scripts without spaces that is
    # enough, elsewhere white space must follow, or 3.14 would be two sentences.
    re.compile(r"[。！？｡]+[」』”’）〉》】]*\s*|[.!?…।॥۔؟։።]+[\"'”’»)\]]*\s+"),
    re.compile(r"[、，；：]\s*|[,;:،؛—–]\s+"),
    re.compile(r"\s+"),
)

_UNSPACED_SCRIPTS: Final = ("Hans", "Hant", "Jpan")
_UNSPACED_LANGUAGES: Final = ("zho", "jpn", "yue")


def split_text(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Cuts ``text`` into parts that each fit, neighbours kept together as far as they fit.

    Cuts are made at ends of sentences; in a sentence that does not fit at commas and the like; then
    at white space; and where there is none, anywhere. Joined, the parts are ``text`` again.

    :param fits: Whether a part is short enough; a single character is never cut.
    """
    return _split(text, fits, 0)


def _split(text: str, fits: Callable[[str], bool], level: int) -> list[str]:
    if len(text) <= 1 or fits(text):
        return [text]

    for next_level in range(level, len(_CUTS)):
        units = _cut(text, _CUTS[next_level])

        if len(units) > 1:
            parts = [part for unit in units for part in _split(unit, fits, next_level + 1)]

            return _pack(parts, fits)

    middle = len(text) // 2

    return _pack([*_split(text[:middle], fits, level), *_split(text[middle:], fits, level)], fits)


def _cut(text: str, pattern: re.Pattern[str]) -> list[str]:
    ends = [match.end() for match in pattern.finditer(text) if match.end() < len(text)]

    begins = [0, *ends]

    return [text[begin:end] for begin, end in zip(begins, [*ends, len(text)], strict=True)]


def _pack(parts: Sequence[str], fits: Callable[[str], bool]) -> list[str]:
    """Puts neighbours together while they fit."""
    packed: list[str] = []

    for part in parts:
        if packed and fits(packed[-1] + part):
            packed[-1] += part
        else:
            packed.append(part)

    return packed


def joint_of(lang: str) -> str:
    """What stands between two sentences of a language: a space, or nothing."""
    script = lang.rpartition("_")[2]

    if script in _UNSPACED_SCRIPTS or set(_UNSPACED_LANGUAGES) & set(language_keys(lang)):
        return ""

    return " "
