"""The pool and its seeds, which are seen to be what they should be."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from fairseq2.recipe.base import RecipeContext
from numpy.typing import NDArray

from fairseq2_jest.corpus.dataset import Corpus, ParallelText
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.rows import blocks_of_rows
from fairseq2_jest.recipes.select.sections import PoolSection


@dataclass(frozen=True, kw_only=True)
class PoolAndSeeds:
    """What is chosen from, and what by."""

    dataset: ParallelText
    """What both are splits of."""

    pool: Corpus

    trusted: Corpus

    seed_rows: NDArray[np.int64]
    """The rows of ``trusted`` that are seeds, ascending."""


def open_pool(context: RecipeContext, config: SelectConfig) -> PoolAndSeeds:
    """
    :raises CorpusError: A corpus cannot be prepared.
    :raises InfluenceError: There is no seed, one is of a direction that the pool lacks, or one is
        in the pool.
    """
    dataset, section = context.get_dataset_as(ParallelText), config.dataset

    pool, trusted = (dataset.open(split) for split in (section.pool_split, section.seed_split))

    return PoolAndSeeds(
        dataset=dataset,
        pool=pool,
        trusted=trusted,
        seed_rows=_take_seeds(pool, trusted, section, config.common.seed),
    )


def _take_seeds(
    pool: Corpus, trusted: Corpus, section: PoolSection, seed: int
) -> NDArray[np.int64]:
    if len(trusted) == 0:
        raise InfluenceError(
            f"Split {section.seed_split} is empty; put trusted pairs into it, or name another in "
            "dataset.seed_split."
        )

    foreign = [d for d in trusted.directions if d not in pool.directions]

    if foreign:
        raise InfluenceError(
            f"Seeds are of direction {foreign[0]}, in which the pool has no pair (it has "
            f"{', '.join(map(str, pool.directions))}); take these out of split "
            f"{section.seed_split}."
        )

    order = np.random.default_rng(seed).permutation(len(trusted))

    rows = np.sort(order[: section.num_seeds]).astype(np.int64)

    if not section.allow_seeds_in_pool:
        _check_apart(pool, trusted, rows)

    return rows


def _check_apart(pool: Corpus, trusted: Corpus, rows: NDArray[np.int64]) -> None:
    seeds = set(zip(*trusted.texts(rows), strict=True))

    found = set()

    for rows_of_pool in blocks_of_rows(len(pool)):
        found |= seeds.intersection(zip(*pool.texts(rows_of_pool), strict=True))

    if found:
        raise InfluenceError(
            f"{len(found)} seed(s) are pairs of the pool, too, such as {sorted(found)[0][0]!r}; "
            "take them out of one of both, or set dataset.allow_seeds_in_pool."
        )
