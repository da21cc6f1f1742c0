from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.sampling import CorpusSampler, SeededPermutation

SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=4)


@given(st.integers(1, 3000), st.integers(0, 2**40), st.integers(0, 50))
@settings(deadline=None, max_examples=150)
def test_permutation_is_a_bijection(n: int, seed: int, epoch: int) -> None:
    sent = SeededPermutation(n, seed, epoch)[np.arange(n)]

    assert np.array_equal(np.sort(sent), np.arange(n))


def test_permutation_of_a_large_range_needs_no_memory_for_it() -> None:
    permutation = SeededPermutation(10**12, seed=1, epoch=0)
    sent = permutation[np.arange(10_000)]

    assert len(np.unique(sent)) == 10_000
    assert sent.min() >= 0
    assert sent.max() < 10**12


def test_permutation_does_not_depend_on_how_it_is_asked() -> None:
    permutation = SeededPermutation(1000, seed=3, epoch=2)
    whole = permutation[np.arange(1000)]

    assert whole[17] == permutation[np.array([17])][0]
    assert np.array_equal(whole, SeededPermutation(1000, 3, 2)[np.arange(1000)])


def test_permutations_differ_by_seed_epoch_and_stream() -> None:
    indices = np.arange(200)
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    orders = {tuple(SeededPermutation(200, s, e, t)[indices].tolist()) for s, e, t in keys}

    assert len(orders) == 4


def test_permutation_is_spread_evenly() -> None:
    n, epochs = 12, 6000
    counts = np.zeros((n, n))
    for epoch in range(epochs):
        counts[np.arange(n), SeededPermutation(n, 7, epoch)[np.arange(n)]] += 1

    # 121 degrees of freedom: the statistic passes 200 in less than 1 of 100,000 cases.
    chi_square = ((counts - epochs / n) ** 2 / (epochs / n)).sum()
    assert chi_square < 200


def test_shuffled_neighbours_are_unrelated() -> None:
    sent = SeededPermutation(100_000, 5, 0)[np.arange(100_000)].astype(float)

    assert abs(np.corrcoef(np.arange(100_000), sent)[0, 1]) < 0.02
    assert abs(np.corrcoef(sent[:-1], sent[1:])[0, 1]) < 0.02


@given(SIZES, st.booleans(), st.integers(0, 99), st.integers(1, 3))
@settings(deadline=None)
def test_equal_weights_give_each_row_once_an_epoch(
    sizes: list[int], shuffle: bool, seed: int, epochs: int
) -> None:
    total = sum(sizes)
    sampler = CorpusSampler(sizes, [1.0] * len(sizes), seed, shuffle=shuffle, max_epochs=epochs)
    for epoch in range(epochs):
        assert sampler.epoch == epoch
        assert np.array_equal(np.sort(sampler.next_rows(total)), np.arange(total))
    assert sampler.epoch == epochs
    assert len(sampler.next_rows(5)) == 0


@given(
    SIZES,
    st.lists(st.floats(0.1, 5), min_size=4, max_size=4),
    st.lists(st.integers(0, 70), min_size=1, max_size=6),
    st.lists(st.integers(1, 70), min_size=1, max_size=6),
)
@settings(deadline=None)
def test_a_resumed_stream_goes_on_exactly(
    sizes: list[int], weights: list[float], before: list[int], after: list[int]
) -> None:
    weights = weights[: len(sizes)]
    whole = CorpusSampler(sizes, weights, 11).next_rows(sum(before) + sum(after))

    sampler = CorpusSampler(sizes, weights, 11)
    first = [sampler.next_rows(k) for k in before]
    state = json.loads(json.dumps(sampler.state_dict()))
    resumed = CorpusSampler(sizes, weights, 11)
    resumed.load_state_dict(state)
    second = [resumed.next_rows(k) for k in after]

    assert np.array_equal(np.concatenate(first + second), whole)


@given(SIZES, st.lists(st.floats(0.2, 5), min_size=4, max_size=4), st.integers(1, 500))
@settings(deadline=None)
def test_every_prefix_has_the_share_of_the_mix(
    sizes: list[int], weights: list[float], k: int
) -> None:
    weights = weights[: len(sizes)]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    rows = CorpusSampler(sizes, weights, 0).next_rows(k)
    counts = np.histogram(rows, bins=starts)[0]
    rates = np.array(weights) * sizes

    assert np.abs(counts - k * rates / rates.sum()).max() <= len(sizes)


def test_a_part_is_finished_before_it_is_repeated_in_another_order() -> None:
    rows = CorpusSampler([40, 1000], [25.0, 1.0], 4).next_rows(400)
    small = rows[rows < 40]

    passes = [small[i : i + 40] for i in range(0, len(small) - 39, 40)]
    assert len(passes) >= 4
    assert all(np.array_equal(np.sort(p), np.arange(40)) for p in passes)
    assert len({tuple(p.tolist()) for p in passes}) == len(passes)


def test_unshuffled_single_part_comes_in_order() -> None:
    sampler = CorpusSampler([7], [1.0], 0, shuffle=False, max_epochs=1)

    assert sampler.next_rows(5).tolist() == [0, 1, 2, 3, 4]
    assert sampler.next_rows(5).tolist() == [5, 6]


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (CorpusSampler([9, 5], [1.0, 2.0], 0), "sizes"),
        (CorpusSampler([9, 4], [1.0, 1.0], 0), "weights"),
        (CorpusSampler([9, 4], [1.0, 2.0], 1), "seed"),
        (CorpusSampler([9, 4], [1.0, 2.0], 0, shuffle=False), "shuffle"),
    ],
)
def test_state_of_another_corpus_is_refused(other: CorpusSampler, named: str) -> None:
    sampler = CorpusSampler([9, 4], [1.0, 2.0], 0)

    with pytest.raises(CorpusError, match=f"corpus {named}"):
        sampler.load_state_dict(other.state_dict())


def test_state_is_small() -> None:
    sampler = CorpusSampler([50_000_000], [1.0], 0)
    sampler.next_rows(4000)

    assert len(json.dumps(sampler.state_dict())) < 200


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    seed=st.integers(0, 99),
    share=st.floats(0.2, 1.0),
)
def test_kept_rows_come_once_an_epoch_and_no_others(
    sizes: list[int], seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)

    starts = np.concatenate([[0], np.cumsum(sizes)])
    # At least one of each part.
    mask = rng.random(starts[-1]) < share
    mask[starts[:-1]] = True

    kept = np.flatnonzero(mask)

    sampler = CorpusSampler(sizes, [1.0] * len(sizes), seed, kept=kept)

    first, second = sampler.next_rows(len(kept)), sampler.next_rows(len(kept))

    assert sorted(first.tolist()) == sorted(second.tolist()) == kept.tolist()


def test_a_part_that_loses_all_its_rows_is_said() -> None:
    with pytest.raises(CorpusError, match="no pair of corpus 2"):
        CorpusSampler([3, 2, 1], [1.0] * 3, 1, kept=np.array([0, 2, 5]))
