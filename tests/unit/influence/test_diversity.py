"""K-means finds planted clusters whoever computes it; draws are even."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang, Gang, Gangs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fairseq2_jest.influence import kmeans
from fairseq2_jest.influence.diversity import (
    DiversityConfig,
    draw_evenly,
    fitting_clusters,
    quotas,
)
from fairseq2_jest.influence.kmeans import Clusters, KMeans
from tests.unit.tiny import on_ranks

pytestmark = pytest.mark.usefixtures("one_thread")


def planted(num: int = 600, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)

    centers = rng.normal(size=(6, 8)) * 10.0

    # Far from even.
    kinds = rng.choice(6, size=num, p=[0.5, 0.2, 0.15, 0.05, 0.05, 0.05])

    return (centers[kinds] + rng.normal(size=(num, 8)) * 0.3).astype(np.float32), kinds


def fit(
    features: NDArray[np.float32], num_clusters: int, gang: Gang | None = None, seed: int = 0
) -> Clusters:
    return KMeans(num_clusters, seed=seed, gang=gang or FakeGang(CPU)).fit(
        lambda places: features[places], len(features)
    )


@pytest.mark.parametrize("chunk_size", [7, 8192])
def test_planted_clusters_are_found(chunk_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "_CHUNK_SIZE", chunk_size)

    features, kinds = planted()

    found = fit(features, 6)

    # A cluster for each kind, and a kind for each cluster.
    assert len(set(zip(kinds.tolist(), found.members.tolist(), strict=True))) == 6

    for cluster in range(6):
        np.testing.assert_allclose(
            found.centroids[cluster], features[found.members == cluster].mean(axis=0), atol=1e-4
        )

    distances = np.square(features - found.centroids[found.members]).sum(axis=1)

    assert found.inertia == pytest.approx(float(distances.mean()), rel=1e-3)
    assert 0 < found.num_iterations <= 30


def test_it_is_lloyds_algorithm() -> None:
    features, _ = planted(200, seed=3)

    found = fit(features, 9, seed=1)

    # At the end no feature is nearer to another centroid.
    distances = torch.cdist(torch.from_numpy(features), torch.from_numpy(found.centroids))

    np.testing.assert_array_equal(distances.argmin(dim=1).numpy(), found.members)


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_find_the_same(num_ranks: int) -> None:
    features, _ = planted(300, seed=5)

    expected = fit(features, 12)

    def work(gangs: Gangs) -> Clusters:
        return fit(features, 12, gangs.dp)

    for found in on_ranks(num_ranks, work):
        np.testing.assert_array_equal(found.members, expected.members)
        np.testing.assert_array_equal(found.centroids, expected.centroids)


def test_copies_do_not_stop_it() -> None:
    found = fit(np.ones((10, 3), dtype=np.float32), 4)

    assert found.inertia == 0.0
    assert set(found.members) <= set(range(4))


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=12),
    share=st.floats(0.0, 1.0),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_quotas_are_as_even_as_can_be(sizes: list[int], share: float, seed: int) -> None:
    array = np.array(sizes, dtype=np.int64)

    wanted = int(share * array.sum())

    found = quotas(array, wanted, seed)

    assert found.sum() == wanted
    assert (found <= array).all()

    # Who gets less than another by more than one has no more to give.
    for own, size in zip(found, array, strict=True):
        assert own == size or own >= found.max() - 1


@given(num=st.integers(1, 60), num_clusters=st.integers(1, 7), seed=st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_draws_follow_the_quotas(num: int, num_clusters: int, seed: int) -> None:
    rng = np.random.default_rng(seed)

    members = rng.integers(num_clusters, size=num).astype(np.int32)
    values = rng.normal(size=num).astype(np.float32)

    wanted = int(rng.integers(num + 1))

    sizes = np.bincount(members, minlength=num_clusters)

    for order_by in (None, values):
        places = draw_evenly(members, num_clusters, wanted, seed=seed, order_by=order_by)

        assert len(set(places.tolist())) == wanted

        drawn = np.bincount(members[places], minlength=num_clusters)

        np.testing.assert_array_equal(drawn, quotas(sizes, wanted, seed))

        if order_by is not None:
            for cluster in range(num_clusters):
                own = np.sort(values[members == cluster])[: drawn[cluster]]

                np.testing.assert_array_equal(
                    np.sort(values[places][members[places] == cluster]), own
                )


def test_the_seed_decides_a_random_draw() -> None:
    members = np.zeros(100, dtype=np.int32)

    draws = [draw_evenly(members, 1, 10, seed=seed).tolist() for seed in (0, 0, 1)]

    assert draws[0] == draws[1] != draws[2]


def test_few_pairs_have_fewer_clusters() -> None:
    assert fitting_clusters(512, 10_000) == 512
    assert fitting_clusters(512, 100) == 50
    assert fitting_clusters(512, 1) == 1


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DiversityConfig(num_selected=0), "`num_selected` must be at least 1"),
        (DiversityConfig(num_clusters=0), "`num_clusters` must be at least 1"),
        (DiversityConfig(projection_side=0), "`projection_side` must be at least 1"),
    ],
)
def test_config_is_checked(config: DiversityConfig, message: str) -> None:
    assert message in str(config.validate())
