"""Which pairs pass the rule, and how many would under others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.influence.rule import RuleConfig, passing_rows, preview, summarize

SCORES = np.array(
    [
        [-1.0, -2.0, -3.0, -4.0],
        [1.0, 1.0, -1.0, 5.0],
        [np.nan, np.nan, np.nan, np.nan],
        [-1.0, -1.0, -1.0, 0.0],
        [-8.0, 0.5, 0.5, -7.0],
    ],
    dtype=np.float32,
)


def rows_of(**values: Any) -> list[int]:
    rows: list[int] = passing_rows(summarize(SCORES), RuleConfig(**values)).tolist()

    return rows


def test_summary() -> None:
    summary = summarize(SCORES)

    np.testing.assert_array_equal(summary.mean, [-2.5, 1.5, np.nan, -0.75, -3.5])
    np.testing.assert_array_equal(summary.minimum, [-4, -1, np.nan, -1, -8])
    np.testing.assert_array_equal(summary.helpful_fraction, [1.0, 0.25, np.nan, 0.75, 0.5])


def test_rules() -> None:
    # The paper's: helpful to every seed. Zero is no help.
    assert rows_of(kind="helpful_fraction") == [0]
    assert rows_of(kind="helpful_fraction", min_helpful_fraction=0.75) == [0, 3]
    assert rows_of(kind="top_k", top_k=2) == [0, 4]
    assert rows_of(kind="top_k", top_k=100) == [0, 1, 3, 4]
    # Of the four that are scored.
    assert rows_of(kind="quantile", quantile=0.75) == [0, 3, 4]


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 100))
@settings(max_examples=40, deadline=None)
def test_preview_counts_what_would_pass(num_pairs: int, num_seeds: int, seed: int) -> None:
    rng = np.random.default_rng(seed)

    scores = rng.normal(size=(num_pairs, num_seeds)).astype(np.float32)
    scores[rng.random(num_pairs) < 0.2] = np.nan

    summary = summarize(scores)

    for setting, count in preview(summary).items():
        name, _, value = setting.partition(" ")

        if name == "quantile":
            rule = RuleConfig(kind="quantile", quantile=float(value))
        else:
            rule = RuleConfig(kind="helpful_fraction", min_helpful_fraction=float(value))

        rows = passing_rows(summary, rule)

        assert len(rows) == count
        assert summary.is_scored[rows].all()

        if name == "quantile":
            rest = np.setdiff1d(np.flatnonzero(summary.is_scored), rows)

            if len(rows) and len(rest):
                assert summary.mean[rows].max() <= summary.mean[rest].min()
        else:
            helped = (scores[rows] < 0.0).mean(axis=1)

            assert (helped >= float(value) - 1e-6).all()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (RuleConfig(min_helpful_fraction=0.0), "`min_helpful_fraction` must be above 0"),
        (RuleConfig(quantile=1.5), "`quantile` must be above 0 and at most 1"),
        (RuleConfig(top_k=0), "`top_k` must be at least 1"),
    ],
)
def test_config_is_checked(config: RuleConfig, message: str) -> None:
    assert message in str(config.validate())
