"""`fairseq2 mt check select`: what would be scored, without starting."""

from __future__ import annotations

from fairseq2.recipe.base import RecipeContext
from fairseq2.runtime.dependency import get_dependency_resolver

from fairseq2_jest.influence.layers import find_layers
from fairseq2_jest.influence.room import curvature_room, seeds_room
from fairseq2_jest.recipes.empty_model import open_empty_model
from fairseq2_jest.recipes.model_kinds import create_model_kind
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.seeds import open_pool
from fairseq2_jest.report.units import format_bytes


def check(config: SelectConfig) -> list[str]:
    """Opens pool and seeds, looks whether all fits, and returns a line about each part.

    :raises CorpusError: A corpus cannot be prepared, or the tokenizer lacks a language.
    :raises InfluenceError: The seeds do not fit the pool, or no layer is tracked.
    :raises TrainingError: The model does not fit the tokenizer or the length of sequences.
    """
    context = RecipeContext(get_dependency_resolver())

    corpora = open_pool(context, config)

    pool, seeds = corpora.pool, corpora.seed_rows

    kind = create_model_kind(context, config.model, context.get_tokenizer(), config.prompt)

    kind.check_languages(pool)

    directions = ", ".join(map(str, pool.directions))

    scores = format_bytes(4 * len(pool) * len(seeds))

    title = config.model.title

    if config.warmup is not None:
        num_pairs = config.warmup.num_steps * config.warmup.batch_size

        title = f"{title}, warmed up on {num_pairs:,} pairs"

    lines = [
        f"{config.dataset.pool_split}: {len(pool):,} pairs, {directions}",
        f"{config.dataset.seed_split}: {len(seeds):,} seeds, {scores} of scores",
        f"model: {title}",
    ]

    model = open_empty_model(context, config.model)

    if model is not None:
        kind.check_fit(model, "the model", config.dataset.max_seq_len)

        layers = find_layers(model, config.layers)

        curvature = curvature_room(layers, config.curvature, len(pool))

        room = seeds_room(layers, config.curvature, len(seeds), config.scoring.rank)

        lines += [
            f"gradients: of {len(layers):,} layers, {layers[0].name} to {layers[-1].name}",
            f"curvature: {format_bytes(max(curvature.peak, curvature.kept + room.peak))} on the "
            f"disk while it is estimated, then {format_bytes(curvature.kept + room.kept)} at the "
            "most with the seeds",
        ]

    return lines
