from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq2_jest.report.audit import share_below
from fairseq2_jest.report.units import (
    flops_scale,
    format_count,
    format_flops,
    format_range,
    format_seconds,
    format_share,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 FLOP"),
        (12, "12.0 FLOP"),
        (999.4, "999 FLOP"),
        (999.6, "1.00 kFLOP"),
        (1.064e12, "1.06 TFLOP"),
        (10.64e12, "10.6 TFLOP"),
        (2.5e20, "250 EFLOP"),
        (1e30, "1000000 YFLOP"),
        (math.nan, "not a number"),
    ],
)
def test_flops(value: float, text: str) -> None:
    assert format_flops(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 s"),
        (8.31, "8.3 s"),
        (9.97, "10 s"),
        (75.4, "75 s"),
        (120, "2 min"),
        (725, "12 min 5 s"),
        (3599.7, "1 h"),
        (11520, "3 h 12 min"),
        (3_600_000, "1,000 h"),
    ],
)
def test_seconds(value: float, text: str) -> None:
    assert format_seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 %"), (0.004, "0.4 %"), (0.0996, "10 %"), (0.65, "65 %"), (1.0, "100 %")],
)
def test_share(value: float, text: str) -> None:
    assert format_share(value) == text


def test_range_of_what_reads_the_same_is_one_number() -> None:
    assert format_range([19_997.2, 19_997.4], format_count) == "19,997"
    assert format_range([2, 1, 3], format_count) == "1–3"


@given(st.floats(0.0, 1e26))
def test_flops_have_three_digits_at_least(value: float) -> None:
    text, _ = format_flops(value).split()

    assert value == 0.0 or sum(map(str.isdigit, text)) in (3, 4)


@given(st.floats(1.0, 1e26))
def test_axis_of_flops_has_small_numbers(largest: float) -> None:
    unit, _ = flops_scale(largest)

    assert largest >= 0.999 * unit
    assert largest < 1000.0 * unit or unit == 1e24


DISTRIBUTION = st.lists(st.floats(-1.0, 1.0), min_size=11, max_size=11).map(sorted)


@given(DISTRIBUTION, st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))
def test_share_below_grows_with_the_value(
    quantiles: list[float], value: float, other: float
) -> None:
    low, high = (share_below(v, quantiles) for v in sorted((value, other)))

    assert 0.0 <= low <= high + 1e-9 <= 1.0 + 1e-9


def test_share_below_follows_the_quantiles() -> None:
    quantiles = [i / 10 for i in range(11)]

    assert [share_below(v, quantiles) for v in (-1.0, 0.0, 0.25, 0.5, 1.0, 2.0)] == pytest.approx(
        [0.0, 0.0, 0.25, 0.5, 1.0, 1.0]
    )
