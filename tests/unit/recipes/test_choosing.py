"""What is chosen follows rule, features and draws; the paper's settings are the paper's."""

from __future__ import annotations

import numpy as np
import pytest
from fairseq2.device import CPU
from fairseq2.gang import FakeGang
from numpy.typing import NDArray

from fairseq2_jest.influence.diversity import DiversityConfig
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.rule import RuleConfig, summarize
from fairseq2_jest.recipes.select.choosing import Choice, choose, unit_rows
from fairseq2_jest.recipes.select.config import SelectConfig
from tests.hugging_face import library

NUM_PAIRS = 200

HALF = RuleConfig(kind="quantile", quantile=0.5)


def scores() -> NDArray[np.float32]:
    """Of which the even rows are helpful, each to all of the seeds."""
    rng = np.random.default_rng(0)

    found = np.abs(rng.normal(size=(NUM_PAIRS, 5))).astype(np.float32)

    found[::2] *= -1.0

    return found


def directions_and_sizes() -> NDArray[np.float32]:
    """Two directions; in each, a few are a hundred times as long as the others."""
    rng = np.random.default_rng(1)

    places = np.arange(NUM_PAIRS) // 2

    axes = np.stack([places % 2 == 0, places % 2 == 1], axis=1).astype(np.float32)

    sizes = np.where(places % 20 < 2, 100.0, 1.0)[:, None]

    noise = rng.normal(scale=0.01, size=axes.shape)

    return ((axes + noise) * sizes).astype(np.float32)


def chosen_of(diversity: DiversityConfig, features: NDArray[np.float32]) -> Choice:
    return choose(
        summarize(scores()),
        lambda rows: features[rows],
        HALF,
        diversity,
        seed=0,
        gang=FakeGang(CPU),
    )


@pytest.mark.parametrize("normalize", [True, False])
def test_whether_sizes_make_clusters_is_up_to_normalize(normalize: bool) -> None:
    features = directions_and_sizes()

    choice = chosen_of(
        DiversityConfig(num_selected=10, num_clusters=2, normalize=normalize), features
    )

    assert choice.passed.tolist() == list(range(0, NUM_PAIRS, 2))
    assert choice.clusters is not None

    places = choice.passed // 2

    clusters = [set(choice.clusters[places % 2 == side].tolist()) for side in (0, 1)]

    # By direction, every pair of one side is in one cluster; by size, the few long ones part.
    assert (len(clusters[0]) == len(clusters[1]) == 1 and clusters[0] != clusters[1]) == normalize

    assert len(choice.chosen) == 10
    assert set(choice.chosen.tolist()) <= set(choice.passed.tolist())


def test_unit_rows_have_length_one_and_zero_stays() -> None:
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [-1e-30, 0.0]], dtype=np.float32)

    np.testing.assert_allclose(unit_rows(rows), [[0.6, 0.8], [0.0, 0.0], [-1.0, 0.0]], rtol=1e-6)


def test_without_a_number_all_that_pass_are_taken() -> None:
    choice = chosen_of(DiversityConfig(), directions_and_sizes())

    assert choice.clusters is None
    assert choice.chosen.tolist() == choice.passed.tolist()


def test_the_draw_has_a_seed_of_its_own_or_that_of_all() -> None:
    draws = [
        chosen_of(
            DiversityConfig(num_selected=10, num_clusters=2, seed=seed), directions_and_sizes()
        ).chosen.tolist()
        for seed in (None, 0, 1)
    ]

    assert draws[0] == draws[1] != draws[2]


def test_nothing_that_passes_is_told() -> None:
    with pytest.raises(InfluenceError, match="No pair passes the rule"):
        choose(
            summarize(np.abs(scores())),
            lambda rows: directions_and_sizes()[rows],
            RuleConfig(kind="helpful_fraction"),
            DiversityConfig(),
            seed=0,
            gang=FakeGang(CPU),
        )


def test_compat_paper_is_the_papers_whatever_is_said_beside() -> None:
    config = SelectConfig(
        compat="paper",
        rule=HALF,
        diversity=DiversityConfig(features="embeddings", normalize=True, draw="best"),
    )

    for _ in range(2):
        config.complete(library())

    assert (config.curvature.method, config.curvature.labels) == ("kfac", "empirical")
    assert config.layers.stride == 3
    assert config.scoring.reduction == "mean"
    assert (config.rule.kind, config.rule.min_helpful_fraction) == ("helpful_fraction", 1.0)
    assert config.diversity == DiversityConfig()
