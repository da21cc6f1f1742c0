"""The recipe of `fairseq2 mt select`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.logging import log
from fairseq2.models.transformer import TransformerModel
from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.recipe.config import CommonSection, ReferenceModelSection, TokenizerSection
from fairseq2.task import Task
from numpy.typing import NDArray
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.corpus.dataset import Corpus, ParallelText
from fairseq2_jest.corpus.manifest import json_sha256
from fairseq2_jest.corpus.prompt import Prompt, PromptConfig
from fairseq2_jest.embedding.prompting import PromptTokenizer
from fairseq2_jest.embedding.tokens import PairReader
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.gradients import GradientPass
from fairseq2_jest.influence.layers import find_layers
from fairseq2_jest.influence.model_kinds import create_pair_model
from fairseq2_jest.recipes.finished_run import RunSection, take_from_run
from fairseq2_jest.recipes.languages import check_direction
from fairseq2_jest.recipes.manifest import claim
from fairseq2_jest.recipes.model_kinds import check_sizes
from fairseq2_jest.recipes.reading import open_reference
from fairseq2_jest.recipes.select.choosing import RowFeatures
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.identity import identity_of
from fairseq2_jest.recipes.select.scoring import Candidates
from fairseq2_jest.recipes.select.seeds import take_seeds
from fairseq2_jest.recipes.select.task import SelectTask
from fairseq2_jest.recipes.select.warmup import warm_up
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

        _warm_up(config, context)

        # The corpora come first: what is wrong with them is said before a model is loaded.
        corpora = _open_corpora(config, context)

        model = context.get_model_as(Module)

        section = config.dataset

        pairs = create_pair_model(
            model,
            corpora.tokenizer,
            device=context.device,
            max_num_tokens=section.max_num_tokens,
        )

        check_sizes(
            "the model",
            corpora.tokenizer,
            section.max_seq_len,
            vocab_size=pairs.vocab_size,
            longest=pairs.max_seq_len,
        )

        readers = _readers(config, model, corpora.tokenizer)

        seed_rows, seeds = readers(corpora.trusted)(corpora.seed_rows)

        if len(seeds) == 0:
            raise InfluenceError(
                f"No seed fits into dataset.max_seq_len ({section.max_seq_len}); raise it."
            )

        read = readers(corpora.pool)

        layers = find_layers(model, config.layers)

        identity = identity_of(
            config, pairs, layers, corpora.pool, corpora.trusted, seed_rows, seeds
        )

        claim(
            context.output_dir,
            identity,
            context.gangs.root,
            results="scores",
            pattern="scores/[!.]*",
        )

        scoring = config.scoring

        gradients = GradientPass(
            pairs,
            layers,
            device=context.device,
            autocast_dtype=scoring.amp_dtype if scoring.amp else None,
        )

        return SelectTask(
            config,
            corpora.pool,
            corpora.dataset.config,
            Candidates(num_rows=len(corpora.pool), read=read, seeds=seeds, gradients=gradients),
            json_sha256(identity),
            embeddings=_embeddings(config, context, corpora.pool),
            gangs=context.gangs,
            output_dir=context.output_dir,
            progress_reporter=context.progress_reporter,
        )

    @property
    @override
    def config_kls(self) -> type[object]:
        return SelectConfig


@dataclass(frozen=True, kw_only=True)
class _Corpora:
    dataset: ParallelText
    pool: Corpus
    trusted: Corpus
    seed_rows: NDArray[np.int64]
    tokenizer: Tokenizer


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


def _open_corpora(config: SelectConfig, context: RecipeContext) -> _Corpora:
    dataset, section = context.get_dataset_as(ParallelText), config.dataset

    pool, trusted = (dataset.open(split) for split in (section.pool_split, section.seed_split))

    seed_rows = take_seeds(pool, trusted, section, config.common.seed)

    tokenizer = context.get_tokenizer()

    for direction in pool.directions:
        check_direction(direction, tokenizer)

    return _Corpora(
        dataset=dataset, pool=pool, trusted=trusted, seed_rows=seed_rows, tokenizer=tokenizer
    )


def _readers(
    config: SelectConfig, model: Module, tokenizer: Tokenizer
) -> Callable[[Corpus], PairReader]:
    """What tokenises corpora for a kind of model."""
    max_seq_len = config.dataset.max_seq_len

    if isinstance(model, TransformerModel):
        return lambda corpus: PairTokenizer(corpus, tokenizer, max_seq_len=max_seq_len)

    prompt = Prompt(config.prompt)

    return lambda corpus: PromptTokenizer(corpus, tokenizer, prompt, max_seq_len=max_seq_len)


def _embeddings(config: SelectConfig, context: RecipeContext, pool: Corpus) -> RowFeatures | None:
    """The embeddings of source and target, one behind the other, if they are to be clustered."""
    if config.diversity.features == "gradients" or config.diversity.num_selected is None:
        return None

    reference = open_reference(context, pool, config.reference_encoder, config.reference_store)

    def read(rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.concatenate(reference.embed(rows), axis=1)

    return read
