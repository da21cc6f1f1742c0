"""What is done to a text, and which pairs are rejected, the same whatever format they came from."""

from __future__ import annotations

import re
from enum import Enum

from fairseq2_jest.corpus.config import CleaningConfig


class Reason(Enum):
    """Why a line was rejected."""

    NOT_UTF8 = "not UTF-8"
    NUL = "NUL character"
    LINE_TOO_LONG = "line too long"
    EMPTY_LINE = "empty line"
    COLUMNS = "wrong number of columns"
    NOT_JSON = "not JSON"
    NOT_OBJECT = "not a JSON object"
    MISSING_KEY = "missing key"
    NULL = "null"
    NOT_TEXT = "not a string"
    EMPTY_SOURCE = "empty source"
    EMPTY_TARGET = "empty target"
    SOURCE_TOO_SHORT = "source too short"
    TARGET_TOO_SHORT = "target too short"
    SOURCE_TOO_LONG = "source too long"
    TARGET_TOO_LONG = "target too long"
    RATIO = "length ratio"
    COPY = "copy"
    DUPLICATE = "duplicate"
    LANGUAGE = "another language"
    NOT_TRANSLATED = "too long to be translated"
    LOOP = "repetition loop"
    REFERENCE_SCORE = "low reference score"
    ROUND_TRIP = "lost on the round trip"


# Python, Unicode and editors each split lines at another subset of these. Here only "\n" ends a
# line of a file, and inside a text every one of them is a space.
_LINE_BREAKS = re.compile("[\t\n\x0b\x0c\r\x1c\x1d\x1e\x85\u2028\u2029]")

_BOM = "\ufeff"


def normalize_text(text: str) -> str:
    """Return ``text`` on one line: separators become spaces, outer white space and a BOM go."""
    return _LINE_BREAKS.sub(" ", text).lstrip(_BOM).strip()


def text_damage(text: str) -> Reason | None:
    """Return why ``text`` cannot be stored at all, or ``None``."""
    if "\0" in text:
        return Reason.NUL
    # JSON can spell half a surrogate pair, which no UTF-8 file can hold.
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return Reason.NOT_UTF8
    return None


def pair_damage(source: str, target: str, config: CleaningConfig) -> Reason | None:
    """Return why the normalised pair is rejected under ``config``, or ``None``."""
    num_source, num_target = len(source), len(target)
    if not num_source:
        return Reason.EMPTY_SOURCE
    if not num_target:
        return Reason.EMPTY_TARGET
    if num_source < config.min_chars:
        return Reason.SOURCE_TOO_SHORT
    if num_target < config.min_chars:
        return Reason.TARGET_TOO_SHORT
    if num_source > config.max_chars:
        return Reason.SOURCE_TOO_LONG
    if num_target > config.max_chars:
        return Reason.TARGET_TOO_LONG
    shorter, longer = sorted((num_source, num_target))
    if longer > config.max_length_ratio * shorter + config.length_slack:
        return Reason.RATIO
    if config.reject_copies and source.casefold() == target.casefold():
        return Reason.COPY
    return None
