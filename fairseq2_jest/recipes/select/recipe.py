"""The recipe of `fairseq2 mt select`."""

from __future__ import annotations

import torch
from fairseq2.logging import log
from fairseq2.models.transformer import TransformerModel
from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.task import Task
from typing_extensions import override

from fairseq2_jest.corpus.dataset import ParallelText
from fairseq2_jest.influence.encoder_decoder import EncoderDecoder
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.gradients import GradientPass
from fairseq2_jest.influence.layers import find_layers
from fairseq2_jest.recipes.manifest import claim
from fairseq2_jest.recipes.reading import check_fit, check_languages
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.identity import identity_of
from fairseq2_jest.recipes.select.seeds import take_seeds
from fairseq2_jest.recipes.select.task import SelectTask
from fairseq2_jest.selection.tokenizing import PairTokenizer


class SelectRecipe(Recipe):
    """Chooses the pairs of a pool whose gradients help trusted seeds, and spreads them."""

    @override
    def create_task(self, context: RecipeContext) -> Task:
        # fairseq2 runs what does not train in inference mode, in which there are no gradients.
        with torch.inference_mode(False):
            return self._create_task(context)

    def _create_task(self, context: RecipeContext) -> Task:
        config = context.get_config_as(SelectConfig)

        # Done already where the config came through the command line.
        config.complete(context.resolver)

        # The corpora come first: what is wrong with them is said before a model is loaded.
        dataset, section = context.get_dataset_as(ParallelText), config.dataset

        pool = dataset.open(section.pool_split)

        trusted = dataset.open(section.seed_split)

        seed_rows = take_seeds(pool, trusted, section, config.common.seed)

        tokenizer = context.get_tokenizer()

        check_languages(pool, tokenizer)

        seed_rows, seeds = PairTokenizer(trusted, tokenizer, max_seq_len=section.max_seq_len)(
            seed_rows
        )

        if len(seeds) == 0:
            raise InfluenceError(
                f"No seed fits into dataset.max_seq_len ({section.max_seq_len}); raise it."
            )

        if config.run.path is None:
            log.warning(
                "Influence is meant for a model that was fine-tuned on the pool or a sample of it: "
                "name its run in run.path, unless the model that is named is such a one."
            )

        model = context.get_model_as(TransformerModel)

        check_fit(model, "the model", tokenizer, section.max_seq_len)

        layers = find_layers(model, config.layers)

        identity = identity_of(config, model, layers, pool, trusted, seed_rows, seeds)

        claim(
            context.output_dir,
            identity,
            context.gangs.root,
            results="scores",
            pattern="scores/[!.]*",
        )

        amp = config.scoring

        gradients = GradientPass(
            EncoderDecoder(
                model, tokenizer, device=context.device, max_num_tokens=section.max_num_tokens
            ),
            layers,
            device=context.device,
            autocast_dtype=amp.amp_dtype if amp.amp else None,
        )

        return SelectTask(
            config,
            pool,
            PairTokenizer(pool, tokenizer, max_seq_len=section.max_seq_len),
            seeds,
            gradients,
            identity,
            gangs=context.gangs,
            output_dir=context.output_dir,
            progress_reporter=context.progress_reporter,
        )

    @property
    @override
    def config_kls(self) -> type[object]:
        return SelectConfig
