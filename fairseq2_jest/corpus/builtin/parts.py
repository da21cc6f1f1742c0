"""Which part of the corpus a German sentence belongs to: a function of its words alone."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_WORDS: Final = re.compile(r"\w+")

_SHARES: Final = (("pool", 50), ("pretrain", 22), ("trusted", 18), ("valid", 5), ("test", 5))


def words_of(text: str) -> str:
    """``text`` in lower case without punctuation, so that near-duplicates share a part."""
    return " ".join(_WORDS.findall(text.lower()))


def part_of(german: str) -> str:
    """The part that ``german`` belongs to, whatever the seed and size.

    Since a German sentence is a function of the English one, parts that share no German
    sentence share no English one either.
    """
    digest = hashlib.blake2b(words_of(german).encode("utf-8"), digest_size=4).digest()
    draw = int.from_bytes(digest, "big") % 100
    for part, share in _SHARES:
        if draw < share:
            return part
        draw -= share
    raise AssertionError("the shares of the parts add up to 100")
