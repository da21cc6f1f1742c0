"""Chooses from a pool that is scored: the rule, then even draws over clusters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from fairseq2.gang import Gang
from fairseq2.logging import log
from numpy.typing import NDArray

from fairseq2_jest.influence.diversity import DiversityConfig, draw_evenly, fitting_clusters
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.kmeans import KMeans
from fairseq2_jest.influence.rule import RuleConfig, ScoreSummary, passing_rows, summarize
from fairseq2_jest.influence.score_store import InfluenceStore

RowFeatures = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Returns the features ``(n, D)`` of these rows of the pool."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What was chosen of a pool, and how."""

    passed: NDArray[np.int64]
    """The rows that passed the rule, ascending."""

    clusters: NDArray[np.int32] | None
    """The cluster of each row that passed; ``None`` where nothing was clustered."""

    num_clusters: int

    chosen: NDArray[np.int64]
    """The rows that are chosen, ascending."""


def summarize_store(store: InfluenceStore) -> ScoreSummary:
    """Goes through all scores once.

    :raises InfluenceError: A row is missing.
    """
    parts = [summarize(scores) for _, scores in store.blocks()]

    return ScoreSummary(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("mean", "minimum", "helpful_fraction")
        }
    )


def choose(
    summary: ScoreSummary,
    features: RowFeatures,
    rule: RuleConfig,
    diversity: DiversityConfig,
    *,
    seed: int,
    gang: Gang,
) -> Choice:
    """Applies the rule, clusters what passed and draws from it; a collective.

    :param seed: Taken where ``diversity`` has none.

    :raises InfluenceError: Nothing passes, or a feature is missing.
    """
    passed = passing_rows(summary, rule)

    if len(passed) == 0:
        raise InfluenceError(
            "No pair passes the rule; lower rule.min_helpful_fraction or raise rule.quantile, by "
            "the counts that the log tells."
        )

    if diversity.num_selected is None:
        return Choice(passed=passed, clusters=None, num_clusters=0, chosen=passed)

    if diversity.num_selected > len(passed):
        log.warning(
            "diversity.num_selected is {:,}, but only {:,} pairs passed the rule: all of them are "
            "taken.",
            diversity.num_selected,
            len(passed),
        )

    num_clusters = fitting_clusters(diversity.num_clusters, len(passed))

    if num_clusters < diversity.num_clusters:
        log.info(
            "{:,} clusters in place of {:,}, since {:,} pairs passed.",
            num_clusters,
            diversity.num_clusters,
            len(passed),
        )

    def read(places: NDArray[np.int64]) -> NDArray[np.float32]:
        found = features(passed[places])

        return unit_rows(found) if diversity.normalize else found

    if diversity.seed is not None:
        seed = diversity.seed

    kmeans = KMeans(num_clusters, seed=seed, gang=gang, max_iterations=diversity.max_iterations)

    clusters = kmeans.fit(read, len(passed)).members

    places = draw_evenly(
        clusters,
        num_clusters,
        diversity.num_selected,
        seed=seed,
        order_by=summary.mean[passed] if diversity.draw == "best" else None,
    )

    return Choice(
        passed=passed, clusters=clusters, num_clusters=num_clusters, chosen=passed[places]
    )


def unit_rows(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Brings each row to length 1; one of zeros stays.

    :param features: *Shape:* ``(n, D)``, as that of the result.
    """
    # Gradients may be so small that their squares are nothing in single precision.
    norms = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)

    return (features / np.where(norms > 0.0, norms, 1.0)).astype(np.float32)
