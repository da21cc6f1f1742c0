from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.mixing import Mix
from fairseq2_jest.corpus.sampling import CorpusSampler


def corpus(sizes: list[int], synthetic: list[bool], weights: list[float] | None = None) -> Corpus:
    return cast(
        Corpus,
        SimpleNamespace(
            split="train",
            sizes=sizes,
            weights=weights or [1.0] * len(sizes),
            parts=[SimpleNamespace(synthetic=s) for s in synthetic],
        ),
    )


@given(
    st.lists(st.integers(1, 50), min_size=2, max_size=2),
    st.lists(st.integers(1, 400), min_size=1, max_size=3),
    st.floats(0.1, 20.0),
)
@settings(deadline=None)
def test_as_many_synthetic_pairs_come_as_the_ratio_says(
    genuine: list[int], synthetic: list[int], ratio: float
) -> None:
    sizes = [*genuine, *synthetic]

    mix = Mix.of(corpus(sizes, [False] * 2 + [True] * len(synthetic)), ratio)

    assert mix.weights[:2] == [1.0, 1.0]

    num = 2000

    rows = CorpusSampler(sizes, mix.weights, seed=1).next_rows(num)

    seen = int((rows >= sum(genuine)).sum())

    # No part is ever more than one row off its share.
    assert abs(seen - num * ratio / (1.0 + ratio)) <= len(sizes)


def test_what_a_filter_leaves_is_what_is_mixed() -> None:
    kept = np.array([0, 1, 2, 3, 10, 11, 12, 13, 14, 15, 16, 17])

    mix = Mix.of(corpus([10, 20], [False, True]), 1.0, kept)

    assert mix.weights == [1.0, 0.5]
    assert (mix.num_genuine, mix.num_synthetic) == (4.0, 4.0)


def test_weights_stand_where_no_ratio_is_given_and_drowning_is_told() -> None:
    mix = Mix.of(corpus([10, 51], [False, True]))

    assert mix.weights == [1.0, 1.0]
    assert mix.drowns_genuine and "drowns the genuine ones" in str(mix)

    assert not Mix.of(corpus([10, 50], [False, True])).drowns_genuine
    assert Mix.of(corpus([10, 50], [False, True], [1.0, 1.1])).drowns_genuine
    assert not Mix.of(corpus([50], [True])).drowns_genuine


@pytest.mark.parametrize(("synthetic", "lacking"), [(True, "genuine"), (False, "synthetic")])
def test_a_ratio_needs_both_kinds(synthetic: bool, lacking: str) -> None:
    with pytest.raises(CorpusError, match=f"has no {lacking} pair"):
        Mix.of(corpus([5], [synthetic]), 2.0)
