"""What a validation measures, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fairseq2_jest.report.units import format_number


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A figure of a validation."""

    key: str
    """Its name in ``--target`` and in ``report.json``."""

    record: str
    """Its name in the files of a run."""

    name: str
    """Its name in tables."""

    unit: str
    """Its unit, empty where it has none."""

    digits: int
    """The decimals that mean something."""

    more_is_better: bool
    """Whether a higher figure is better."""

    @property
    def label(self) -> str:
        """Name and unit, as at an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    def format(self, value: float) -> str:
        """The figure as text."""
        return format_number(value, self.digits)

    def gain(self, value: float, base: float) -> float:
        """By how much ``value`` is better than ``base``; negative where it is worse."""
        return value - base if self.more_is_better else base - value


LOSS: Final = Measure(
    key="loss",
    record="NLL Loss",
    name="validation loss",
    unit="nats per token",
    digits=3,
    more_is_better=False,
)

BLEU: Final = Measure(
    key="bleu", record="BLEU", name="BLEU", unit="", digits=1, more_is_better=True
)

CHRF: Final = Measure(
    key="chrf", record="chrF++", name="chrF++", unit="", digits=1, more_is_better=True
)

COMET: Final = Measure(
    key="comet", record="COMET", name="COMET", unit="", digits=4, more_is_better=True
)

MEASURES: Final = (LOSS, BLEU, CHRF, COMET)
