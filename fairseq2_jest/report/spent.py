"""What a run has spent by some step, and the units in which runs are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from statistics import fmean
from typing import Final

from fairseq2_jest.report.units import (
    count_scale,
    flops_scale,
    format_count,
    format_flops,
    format_seconds,
    seconds_scale,
)


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Sums from the start of a run, over its resumed parts."""

    seen: float
    """Pairs read as candidates."""

    samples: float
    """Pairs trained on."""

    training_flops: float
    """Floating-point operations of training."""

    selection_flops: float
    """Floating-point operations of selecting."""

    filling_flops: float
    """Floating-point operations of the reference model, for losses that its store lacked; whoever
    comes next finds them there."""

    seconds: float
    """Wall-clock time, with start-up and earlier validations."""

    step_seconds: float
    """The part of it that lay in training steps, selecting included."""

    selection_seconds: float
    """The part of it that went into selecting."""

    @property
    def flops(self) -> float:
        """Floating-point operations of training and selecting."""
        return self.training_flops + self.selection_flops

    @property
    def selection_share(self) -> float | None:
        """The share of the steps' time that went into selecting; ``None`` before any step."""
        return self.selection_seconds / self.step_seconds if self.step_seconds > 0.0 else None


NOTHING: Final = Spent(**{field.name: 0.0 for field in fields(Spent)})
"""What a run has spent before its first step."""


def mean_spent(amounts: Sequence[Spent]) -> Spent:
    """The average of several amounts, at least one."""
    return Spent(
        **{field.name: fmean(getattr(s, field.name) for s in amounts) for field in fields(Spent)}
    )


def spent_between(start: Spent, end: Spent, weight: float) -> Spent:
    """The amount on the line from ``start`` (weight 0) to ``end`` (weight 1), and beyond it."""

    def value(name: str) -> float:
        first: float = getattr(start, name)
        last: float = getattr(end, name)

        # In this form the ends are exact.
        return first * (1.0 - weight) + last * weight

    return Spent(**{field.name: value(field.name) for field in fields(Spent)})


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A unit in which runs are compared."""

    key: str
    """The attribute of :class:`Spent`."""

    name: str
    """What is counted, as in the label of an axis."""

    format: Callable[[float], str]
    """Writes an amount with its unit."""

    scale: Callable[[float], tuple[float, str]]
    """The unit of an axis that ends at some amount: how much of the cost it is, and its name."""

    def of(self, spent: Spent) -> float:
        """This cost of what was spent."""
        amount: float = getattr(spent, self.key)

        return amount


SAMPLES: Final = Cost(
    key="samples", name="pairs trained on", format=format_count, scale=count_scale
)

FLOPS: Final = Cost(
    key="flops", name="FLOPs, training and selecting", format=format_flops, scale=flops_scale
)

SECONDS: Final = Cost(
    key="seconds", name="wall-clock time", format=format_seconds, scale=seconds_scale
)

COSTS: Final = (SAMPLES, FLOPS, SECONDS)
