"""`fairseq2 mt check select`: what would be scored, without starting."""

from __future__ import annotations

from fairseq2.recipe.base import RecipeContext
from fairseq2.runtime.dependency import get_dependency_resolver

from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.seeds import open_pool
from fairseq2_jest.report.units import format_bytes


def check(config: SelectConfig) -> list[str]:
    """Opens pool and seeds, looks whether they fit, and returns a line about each part.

    :raises CorpusError: A corpus cannot be prepared.
    :raises InfluenceError: The seeds do not fit the pool.
    """
    corpora = open_pool(RecipeContext(get_dependency_resolver()), config)

    pool, seeds = corpora.pool, corpora.seed_rows

    directions = ", ".join(map(str, pool.directions))

    scores = format_bytes(4 * len(pool) * len(seeds))

    model = config.model.title

    if config.warmup is not None:
        num_pairs = config.warmup.num_steps * config.warmup.batch_size

        model = f"{model}, warmed up on {num_pairs:,} pairs"

    return [
        f"{config.dataset.pool_split}: {len(pool):,} pairs, {directions}",
        f"{config.dataset.seed_split}: {len(seeds):,} seeds, {scores} of scores",
        f"model: {model}",
    ]
