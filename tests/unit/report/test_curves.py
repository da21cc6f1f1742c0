from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from fairseq2_jest.report.curves import Point, average, reach, value_at
from fairseq2_jest.report.measures import BLEU, LOSS, Measure
from fairseq2_jest.report.spent import NOTHING, SAMPLES

VALUES = st.floats(0.1, 100.0)

CURVES = st.lists(VALUES, min_size=1, max_size=12)


def curve(values: list[float], start: int = 1) -> list[Point]:
    """A validation every 100 samples."""
    return [
        Point(
            step=index,
            spent=replace(NOTHING, samples=100.0 * index, seconds=3.0 * index),
            value=value,
            low=value,
            high=value,
        )
        for index, value in enumerate(values, start=start)
    ]


@pytest.mark.parametrize(
    ("values", "target", "samples", "at_most"),
    [
        ([4.0, 3.0, 2.0], 2.5, 250.0, False),
        ([4.0, 3.0, 2.0], 2.0, 300.0, False),
        ([4.0, 3.0, 2.0], 4.0, 100.0, True),
        ([4.0, 2.0, 5.0, 1.0], 2.0, 200.0, False),
        ([4.0, math.nan, 2.0], 3.0, 200.0, False),
    ],
)
def test_target_is_reached(
    values: list[float], target: float, samples: float, at_most: bool
) -> None:
    reached = reach(curve(values), LOSS, target)

    assert reached is not None
    assert reached.spent.samples == pytest.approx(samples)
    assert reached.at_most == at_most


@pytest.mark.parametrize("values", [[4.0, 3.0], [], [math.nan], [math.inf, math.nan]])
def test_target_is_never_reached(values: list[float]) -> None:
    assert reach(curve(values), LOSS, 2.0) is None


@given(CURVES, VALUES, st.sampled_from([LOSS, BLEU]))
def test_is_reached_just_if_some_validation_is_as_good(
    values: list[float], target: float, measure: Measure
) -> None:
    reached = reach(curve(values), measure, target)

    good = [index for index, v in enumerate(values, start=1) if measure.gain(v, target) >= 0.0]

    assert (reached is not None) == bool(good)

    if reached is not None:
        # At the first validation that is as good, or on the way to it.
        assert 100.0 * max(1, good[0] - 1) <= reached.spent.samples <= 100.0 * good[0] + 1e-6
        assert reached.at_most == (good[0] == 1)


@settings(suppress_health_check=[HealthCheck.filter_too_much])
@given(CURVES, VALUES)
def test_the_curve_has_the_target_where_it_is_reached(values: list[float], target: float) -> None:
    reached = reach(curve(values), LOSS, target)

    assume(reached is not None and not reached.at_most)
    assert reached is not None

    at = value_at(curve(values), SAMPLES, reached.spent.samples)

    assert at == pytest.approx(target, rel=1e-6)


@given(CURVES, VALUES, VALUES)
def test_a_better_target_takes_at_least_as_long(
    values: list[float], target: float, other: float
) -> None:
    easy, hard = (reach(curve(values), LOSS, t) for t in (max(target, other), min(target, other)))

    if hard is not None:
        assert easy is not None
        assert easy.spent.samples <= hard.spent.samples + 1e-6


@given(CURVES, VALUES)
def test_all_costs_are_interpolated_alike(values: list[float], target: float) -> None:
    reached = reach(curve(values), LOSS, target)

    assume(reached is not None)
    assert reached is not None

    assert reached.spent.seconds == pytest.approx(0.03 * reached.spent.samples)


def test_average_is_over_the_steps_that_all_have() -> None:
    averaged = average([curve([4.0, 3.0, 2.0]), curve([5.0, 5.0]), []])

    assert [(p.step, p.value, p.low, p.high) for p in averaged] == [
        (1, 4.5, 4.0, 5.0),
        (2, 4.0, 3.0, 5.0),
    ]


def test_average_of_nothing_is_nothing() -> None:
    assert average([[], []]) == average([]) == []


@given(CURVES)
def test_average_of_one_is_itself(values: list[float]) -> None:
    assert average([curve(values)]) == curve(values)
