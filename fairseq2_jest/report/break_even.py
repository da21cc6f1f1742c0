"""When selecting has paid for itself: from where on an arm is ahead at equal cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from fairseq2_jest.report.arms import Arm
from fairseq2_jest.report.curves import Point, finite, value_at
from fairseq2_jest.report.measures import MEASURES, Measure
from fairseq2_jest.report.spent import FLOPS, SAMPLES, SECONDS, Cost

Outcome = Literal["from the start", "paid", "not paid", "no overlap"]


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """An arm against the baseline at equal cost, as far as both were measured."""

    arm: Arm
    """The arm that selects."""

    measure: Measure
    """What is compared."""

    cost: Cost
    """What is equal."""

    outcome: Outcome
    """
    Whether the arm is at least as good as the baseline at the end of the costs that both reached
    (``paid``), and was so all along (``from the start``).
    """

    samples: float | None
    """The pairs that the arm had trained on when it drew level for good; ``None`` if it did not."""

    amount: float | None
    """The cost at which it did."""

    compared: tuple[float, float] | None
    """The costs that both were validated at, smallest and largest."""


def find_break_evens(
    arms: Sequence[Arm], baseline: Arm, directions: Sequence[str]
) -> list[BreakEven]:
    """Compares every arm that spends on selecting to the baseline, in time and in FLOPs."""
    found = []

    for arm in arms:
        if arm is baseline or not any(run.selects for run in arm.runs):
            continue

        for measure in MEASURES:
            curve = finite(arm.quality(measure, directions))

            base = finite(baseline.quality(measure, directions))

            if curve and base:
                found += [_compare(arm, measure, cost, curve, base) for cost in (SECONDS, FLOPS)]

    return found


def _compare(
    arm: Arm, measure: Measure, cost: Cost, curve: Sequence[Point], base: Sequence[Point]
) -> BreakEven:
    def result(
        outcome: Outcome, amount: float | None, compared: tuple[float, float] | None
    ) -> BreakEven:
        return BreakEven(
            arm=arm,
            measure=measure,
            cost=cost,
            outcome=outcome,
            samples=None if amount is None else _samples_at(curve, cost, amount),
            amount=amount,
            compared=compared,
        )

    low = max(cost.of(curve[0].spent), cost.of(base[0].spent))
    high = min(cost.of(curve[-1].spent), cost.of(base[-1].spent))

    if low > high:
        return result("no overlap", None, None)

    # Both curves are straight between these, and so is their difference.
    knots = {cost.of(point.spent) for point in (*curve, *base)} | {low, high}

    gains = [
        (amount, measure.gain(value_at(curve, cost, amount), value_at(base, cost, amount)))
        for amount in sorted(knots)
        if low <= amount <= high
    ]

    if gains[-1][1] < 0.0:
        return result("not paid", None, (low, high))

    drawn_level: float | None = None

    for (start, gain), (end, next_gain) in pairwise(gains):
        if gain < 0.0 <= next_gain:
            drawn_level = start + (end - start) * gain / (gain - next_gain)

    if drawn_level is None:
        return result("from the start", low, (low, high))

    return result("paid", drawn_level, (low, high))


def _samples_at(curve: Sequence[Point], cost: Cost, amount: float) -> float:
    for start, end in pairwise(curve):
        first, last = cost.of(start.spent), cost.of(end.spent)

        if first <= amount <= last and first < last:
            weight = (amount - first) / (last - first)

            return SAMPLES.of(start.spent) * (1.0 - weight) + SAMPLES.of(end.spent) * weight

    return SAMPLES.of(curve[0].spent)
