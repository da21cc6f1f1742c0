"""What becomes of a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """One translation of a line."""

    text: str
    """On one line."""

    score: float
    """Its log-probability, as the generator normalises it."""


@dataclass(frozen=True, kw_only=True)
class Translation:
    """All translations of a line."""

    hypotheses: Sequence[Hypothesis] = ()
    """Best first; none for an empty line and for one that is too long."""

    num_parts: int = 1
    """How many parts the line was translated in."""

    num_tokens: int | None = None
    """The length of a line that is too long and was not translated; else ``None``."""

    @property
    def text(self) -> str:
        """The best translation, empty if there is none."""
        return self.hypotheses[0].text if self.hypotheses else ""
