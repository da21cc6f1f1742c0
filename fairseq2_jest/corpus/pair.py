"""What a corpus is made of: a pair of texts and the direction it is translated in."""

from __future__ import annotations

from typing import NamedTuple

from fairseq2_jest.corpus.errors import CorpusError

CLEAN_LABEL = "clean"
"""The label of a good pair; every other label names a kind of noise."""


class Direction(NamedTuple):
    """A source and a target language, written ``eng_Latn-deu_Latn``."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source}-{self.target}"

    def reversed(self) -> Direction:
        """The direction of back-translation."""
        return Direction(self.target, self.source)


class Pair(NamedTuple):
    """One row of a corpus."""

    id: str
    """``<content digest>:<line>``: the pair's place in its corpus, whatever else is in the run."""

    direction: Direction

    source: str

    target: str

    synthetic: bool
    """Whether the source was made by a model (back-translation)."""

    label: str | None
    """``clean``, a kind of noise, or ``None`` where the corpus is not labelled."""


def parse_direction(text: str) -> Direction:
    """Parse ``eng_Latn-deu_Latn``.

    :raises CorpusError: If ``text`` is not two language codes joined by one hyphen.
    """
    source, hyphen, target = text.partition("-")
    codes = (source, target)
    if not hyphen or not all(c and c.isascii() and c.replace("_", "").isalnum() for c in codes):
        raise CorpusError(
            f"'{text}' is not a direction: write the source and the target language joined by one "
            "hyphen, as in 'eng_Latn-deu_Latn'."
        )
    return Direction(source, target)
