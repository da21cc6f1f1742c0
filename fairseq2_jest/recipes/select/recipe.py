"""The recipe of `fairseq2 mt select`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from fairseq2.logging import log
from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.recipe.config import CommonSection, ReferenceModelSection, TokenizerSection
from fairseq2.task import Task
from numpy.typing import NDArray
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.manifest import json_sha256
from fairseq2_jest.corpus.prompt import PromptConfig
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.gradients import GradientPass
from fairseq2_jest.influence.layers import find_layers
from fairseq2_jest.influence.model import PairModel
from fairseq2_jest.recipes.finished_run import RunSection, take_from_run
from fairseq2_jest.recipes.manifest import claim
from fairseq2_jest.recipes.model_kinds import create_model_kind
from fairseq2_jest.recipes.reading import open_reference
from fairseq2_jest.recipes.select.choosing import RowFeatures
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.identity import identity_of
from fairseq2_jest.recipes.select.scoring import Candidates
from fairseq2_jest.recipes.select.seeds import open_pool
from fairseq2_jest.recipes.select.task import SelectTask
from fairseq2_jest.recipes.select.warmup import FOLDER_NAME, claim_warm_up, warm_up


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

        _warm_up(config, context)

        # The corpora come first: what is wrong with them is said before a model is loaded.
        corpora = open_pool(context, config)

        pool, trusted = corpora.pool, corpora.trusted

        tokenizer = context.get_tokenizer()

        kind = create_model_kind(context, config.model, tokenizer, config.prompt)

        if config.warmup is not None:
            # It may have been there before, with other settings.
            folder = context.output_dir / FOLDER_NAME

            claim_warm_up(folder, config, config.warmup, pool, kind, context)

        kind.check_languages(pool)

        model: Module = context.get_model_as(kind.model_class)

        section = config.dataset

        kind.check_fit(model, "the model", section.max_seq_len)

        read, read_seeds = (
            kind.pair_reader(corpus, max_seq_len=section.max_seq_len) for corpus in (pool, trusted)
        )

        seed_rows, seeds = read_seeds(corpora.seed_rows)

        if len(seeds) == 0:
            raise InfluenceError(
                f"No seed fits into dataset.max_seq_len ({section.max_seq_len}); raise it."
            )

        layers = find_layers(model, config.layers)

        identity = identity_of(config, kind, model, layers, pool, trusted, seed_rows, seeds)

        claim(
            context.output_dir,
            identity,
            context.gangs.root,
            results="scores",
            pattern="scores/[!.]*",
        )

        scoring = config.scoring

        gradients = GradientPass(
            PairModel(
                model, tokenizer, device=context.device, max_num_tokens=section.max_num_tokens
            ),
            layers,
            device=context.device,
            autocast_dtype=scoring.amp_dtype if scoring.amp else None,
        )

        return SelectTask(
            config,
            pool,
            corpora.dataset.config,
            Candidates(num_rows=len(pool), read=read, seeds=seeds, gradients=gradients),
            json_sha256(identity),
            embeddings=_embeddings(config, context, pool),
            gangs=context.gangs,
            output_dir=context.output_dir,
            progress_reporter=context.progress_reporter,
        )

    @property
    @override
    def config_kls(self) -> type[object]:
        return SelectConfig


@dataclass(kw_only=True)
class _Sections:
    run: RunSection
    model: ReferenceModelSection
    tokenizer: TokenizerSection
    prompt: PromptConfig
    common: CommonSection


def _warm_up(config: SelectConfig, context: RecipeContext) -> None:
    if config.run.path is not None:
        return

    if config.warmup is None:
        log.warning(
            "Influence is meant for a model that was fine-tuned on the pool or a sample of it: "
            "name its run in run.path or make one with warmup, unless the model that is named is "
            "such a one."
        )

        return

    run = RunSection(path=warm_up(config, config.warmup, context.output_dir), checkpoint="last")

    # fairseq2 loads a config as often as it is asked for; these sections it keeps. Nothing may
    # have been looked up yet: from then on the assets are what they are.
    resolver = context.resolver

    take_from_run(
        _Sections(
            run=run,
            model=resolver.resolve(ReferenceModelSection, key="model"),
            tokenizer=config.tokenizer,
            prompt=config.prompt,
            common=resolver.resolve(CommonSection),
        ),
        resolver,
    )


def _embeddings(config: SelectConfig, context: RecipeContext, pool: Corpus) -> RowFeatures | None:
    """The embeddings of source and target, one behind the other, if they are to be clustered."""
    if config.diversity.features == "gradients" or config.diversity.num_selected is None:
        return None

    reference = open_reference(context, pool, config.reference_encoder, config.reference_store)

    def read(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.concatenate(reference.embed(rows), axis=1)

    return read
