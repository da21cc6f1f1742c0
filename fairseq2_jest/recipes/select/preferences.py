"""What a choice prefers: which lengths, directions and labels are chosen more often than others."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.recipes.select.scored_pool import ScoredPool
from fairseq2_jest.report.html import Column, paragraph, table
from fairseq2_jest.report.units import format_number, format_share

_NUM_LENGTHS: Final = 5
"""The groups of equal size that pairs are put into by their length."""


def preference_parts(pool: ScoredPool) -> list[str]:
    """The parts of a page: a sentence, and a table for each kind of group."""
    if len(pool.scored) == 0:
        return []

    lengths = pool.target_lengths()

    parts = [paragraph(_length_sentence(pool, lengths))]

    edges = np.quantile(lengths, np.linspace(0.0, 1.0, _NUM_LENGTHS + 1))

    # Where many are equally long, there are fewer groups.
    edges = np.unique(edges.astype(np.int64))

    groups = {
        f"{low:,} to {high:,} letters": (lengths >= low)
        & ((lengths < high) if place < len(edges) - 2 else (lengths <= high))
        for place, (low, high) in enumerate(pairwise(edges.tolist()))
    }

    parts.append(_group_table(pool, "By the length of the target.", "target", groups))

    rows = np.arange(len(lengths), dtype=np.int64)

    direction = pool.corpus.direction_index(rows)

    if len(pool.corpus.directions) > 1:
        groups = {str(d): direction == i for i, d in enumerate(pool.corpus.directions)}

        parts.append(_group_table(pool, "By direction.", "direction", groups))

    if pool.corpus.is_labelled:
        labels = np.array([label or "none" for label in pool.corpus.labels(rows)])

        groups = {str(label): labels == label for label in np.unique(labels)}

        parts.append(_group_table(pool, "By label.", "label", groups))

    return parts


def _length_sentence(pool: ScoredPool, lengths: NDArray[np.int64]) -> str:
    correlation = rank_correlation(
        pool.influence[pool.scored], lengths[pool.scored].astype(np.float64)
    )

    return (
        f"The rank correlation of mean influence with the target's length is "
        f"{format_number(correlation, 2)}: "
        + (
            "length decides little."
            if abs(correlation) < 0.2
            else f"{'longer' if correlation < 0.0 else 'shorter'} pairs count as more helpful."
        )
    )


def rank_correlation(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Spearman's rank correlation; 0 where one of both is the same everywhere.

    :param a: *Shape:* ``(n)``.
    :param b: *Shape:* ``(n)``.
    """
    from scipy.stats import rankdata

    if len(a) < 2 or np.ptp(a) == 0.0 or np.ptp(b) == 0.0:
        return 0.0

    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def _group_table(
    pool: ScoredPool, caption: str, kind: str, groups: Mapping[str, NDArray[np.bool_]]
) -> str:
    columns = [
        Column(title=kind, kind="word"),
        Column(title="pairs"),
        Column(title="chosen"),
        Column(title="share chosen"),
        Column(title="median influence"),
    ]

    is_scored, is_chosen = ~np.isnan(pool.influence), pool.is_chosen

    rows = []

    for name, members in groups.items():
        num, num_chosen = int(members.sum()), int((members & is_chosen).sum())

        scores = pool.influence[members & is_scored]

        rows.append(
            [
                name,
                f"{num:,}",
                f"{num_chosen:,}",
                format_share(num_chosen / num) if num else "",
                f"{np.median(scores):.3g}".replace("-", "−") if len(scores) else "",
            ]
        )

    return table(caption, columns, rows)
