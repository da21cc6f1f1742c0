"""Curves over the course of runs, their averages over seeds, and when they reach a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from fairseq2_jest.report.measures import Measure
from fairseq2_jest.report.runs import Run
from fairseq2_jest.report.spent import Cost, Spent, mean_spent, spent_between


@dataclass(frozen=True, kw_only=True)
class Point:
    """A point of a curve."""

    step: int
    """The step."""

    spent: Spent
    """What was spent by then, over several seeds their average."""

    value: float
    """The figure, over several seeds their average; may not be finite."""

    low: float
    """The smallest figure among the seeds."""

    high: float
    """The largest figure among the seeds."""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """When a curve reached a target."""

    spent: Spent
    """What was spent by then."""

    at_most: bool
    """Whether the first validation was already there: it may have been reached earlier."""


def quality_curve(run: Run, measure: Measure, directions: Sequence[str]) -> list[Point]:
    """A figure of the validations, averaged over directions at the steps that all of them have."""
    scores: dict[int, list[float]] = {}
    spent: dict[int, Spent] = {}

    for direction in directions:
        for validation in run.validations.get(direction, ()):
            if measure.key in validation.scores:
                scores.setdefault(validation.step, []).append(validation.scores[measure.key])

                spent[validation.step] = validation.spent

    return [
        _point(step, spent[step], fmean(values))
        for step, values in sorted(scores.items())
        if len(values) == len(directions)
    ]


def training_curve(run: Run) -> list[Point]:
    """The training loss."""
    return [_point(point.step, point.spent, point.loss) for point in run.training]


def series_curve(run: Run, name: str) -> list[Point]:
    """One of the figures of the selection; empty where the run has none."""
    return [
        _point(point.step, point.spent, point.series[name])
        for point in run.training
        if name in point.series
    ]


def _point(step: int, spent: Spent, value: float) -> Point:
    return Point(step=step, spent=spent, value=value, low=value, high=value)


def average(curves: Sequence[Sequence[Point]]) -> list[Point]:
    """The average of the curves that have any points, at the steps that all of these have."""
    by_step = [{point.step: point for point in curve} for curve in curves if curve]

    if not by_step:
        return []

    common = sorted(set.intersection(*(set(points) for points in by_step)))

    averaged = []

    for step in common:
        points = [points[step] for points in by_step]

        averaged.append(
            Point(
                step=step,
                spent=mean_spent([point.spent for point in points]),
                value=fmean(point.value for point in points),
                low=min(point.low for point in points),
                high=max(point.high for point in points),
            )
        )

    return averaged


def finite(curve: Sequence[Point]) -> list[Point]:
    """The points whose figure is a finite number."""
    return [point for point in curve if math.isfinite(point.value)]


def reach(curve: Sequence[Point], measure: Measure, target: float) -> Reached | None:
    """When a curve is first as good as ``target``, by linear interpolation; ``None`` if never."""
    points = finite(curve)

    found = first_crossing([measure.gain(point.value, target) for point in points])

    if found is None:
        return None

    index, weight = found

    if index == 0:
        return Reached(spent=points[0].spent, at_most=True)

    spent = spent_between(points[index - 1].spent, points[index].spent, weight)

    return Reached(spent=spent, at_most=False)


def first_crossing(gains: Sequence[float]) -> tuple[int, float] | None:
    """The first place that is no longer negative, and how far it is to there from the one before:
    0 to 1, where the line between both meets zero; 1 at the very first. ``None`` if all are."""
    for index, gain in enumerate(gains):
        if gain >= 0.0:
            if index == 0:
                return 0, 1.0

            before = gains[index - 1]

            return index, before / (before - gain)

    return None


def value_at(curve: Sequence[Point], cost: Cost, amount: float) -> float:
    """The figure at some cost that lies within the curve, by linear interpolation."""
    for start, end in pairwise(curve):
        low, high = cost.of(start.spent), cost.of(end.spent)

        if low <= amount <= high and low < high:
            weight = (amount - low) / (high - low)

            return start.value * (1.0 - weight) + end.value * weight

    return curve[0].value if amount <= cost.of(curve[0].spent) else curve[-1].value


def best(curve: Sequence[Point], measure: Measure) -> float | None:
    """The best finite figure of a curve; ``None`` where there is none."""
    values = [point.value for point in finite(curve)]

    if not values:
        return None

    return max(values) if measure.more_is_better else min(values)
