"""The recipe of `fairseq2 mt embed`."""

from __future__ import annotations

from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.task import Task
from typing_extensions import override

from fairseq2_jest.corpus.dataset import ParallelText
from fairseq2_jest.recipes.embed.config import EmbedConfig
from fairseq2_jest.recipes.embed.task import EmbedTask
from fairseq2_jest.recipes.reading import open_reference


class EmbedRecipe(Recipe):
    """Fills the store of reference embeddings, and of scores, of the training split."""

    @override
    def create_task(self, context: RecipeContext) -> Task:
        config = context.get_config_as(EmbedConfig)

        # The corpus comes first: what is wrong with it is said before a model is loaded.
        corpus = context.get_dataset_as(ParallelText).open(config.dataset.train_split)

        reference = open_reference(
            context, corpus, config.reference_encoder, config.reference_store
        )

        return EmbedTask(
            reference,
            config.fill,
            gangs=context.gangs,
            progress_reporter=context.progress_reporter,
            summary_file=context.output_dir / "embed.json",
        )

    @property
    @override
    def config_kls(self) -> type[object]:
        return EmbedConfig
