"""Makes the model that pairs are scored by: a short fine-tune on a sample of the pool."""

from __future__ import annotations

from pathlib import Path

import torch
from fairseq2.logging import log
from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.config import (
    AdamWConfig,
    CommonSection,
    GangSection,
    LRSchedulerSection,
    ModelSection,
    OptimizerSection,
    RegimeSection,
    TrainerSection,
)
from fairseq2.task import Task
from typing_extensions import override

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.recipes.finetune.config import FinetuneConfig
from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe
from fairseq2_jest.recipes.manifest import claim
from fairseq2_jest.recipes.model_kinds import ModelKind, create_model_kind
from fairseq2_jest.recipes.nested_run import run_within
from fairseq2_jest.recipes.sections import BatchSelectorSection, BitextSection
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.identity import warmup_identity
from fairseq2_jest.recipes.select.sections import WarmupSection
from fairseq2_jest.recipes.select.seeds import open_pool
from fairseq2_jest.selection.iid import IidConfig

FOLDER_NAME = "warmup"


def warm_up(config: SelectConfig, section: WarmupSection, output_dir: Path) -> Path:
    """Completes the warm-up of an output directory, all ranks together.

    One that is there is taken as it is; :func:`claim_warm_up` tells whether it is the right one.

    :returns: Its run, of which the last checkpoint is meant.

    :raises InfluenceError: The seeds do not fit the pool.
    :raises UsageError: There is a warm-up of something else.
    """
    folder = output_dir / FOLDER_NAME

    if any(folder.glob(f"checkpoints/step_{section.num_steps}/model/**/*.pt")):
        return folder

    log.info("Warming up: {:,} steps of fine-tuning in {}.", section.num_steps, folder)

    run_within(_WarmupRecipe(config, section), _finetune_config(config, section), folder)

    log.info("The warm-up is done.")

    return folder


def claim_warm_up(
    folder: Path,
    config: SelectConfig,
    section: WarmupSection,
    pool: Corpus,
    kind: ModelKind,
    context: RecipeContext,
) -> None:
    """Makes ``folder`` the place of this warm-up, finished or not; a collective.

    :raises UsageError: There is a warm-up of something else.
    """
    claim(
        folder,
        warmup_identity(config, section, kind, pool, context.resolver),
        context.gangs.root,
        results="a warm-up",
        pattern="checkpoints/*",
    )


class _WarmupRecipe(FinetuneRecipe):
    """`mt finetune`, once it is sure that there is something to score with its model."""

    def __init__(self, config: SelectConfig, section: WarmupSection) -> None:
        self._config = config
        self._section = section

    @override
    def create_task(self, context: RecipeContext) -> Task:
        config = self._config

        pool = open_pool(context, config).pool

        kind = create_model_kind(context, config.model, context.get_tokenizer(), config.prompt)

        claim_warm_up(context.output_dir, config, self._section, pool, kind, context)

        return super().create_task(context)


def _finetune_config(config: SelectConfig, section: WarmupSection) -> FinetuneConfig:
    scoring, dataset = config.scoring, config.dataset

    trainer = TrainerSection(max_grad_norm=1.0)

    trainer.mixed_precision.mode = "auto" if scoring.amp else "off"
    trainer.mixed_precision.dtype = scoring.amp_dtype

    interval = min(section.checkpoint_every_n_steps, section.num_steps)

    return FinetuneConfig(
        model=_model_section(config),
        tokenizer=config.tokenizer,
        prompt=config.prompt,
        dataset=BitextSection(
            name=dataset.name,
            family=dataset.family,
            config_overrides=dataset.config_overrides,
            train_split=dataset.pool_split,
            valid_split=None,
            max_seq_len=dataset.max_seq_len,
            max_num_tokens=dataset.max_num_tokens,
        ),
        batch_selector=BatchSelectorSection(
            name="iid", config=IidConfig(batch_size=section.batch_size)
        ),
        optimizer=OptimizerSection(config=AdamWConfig(lr=section.lr, betas=(0.9, 0.98))),
        lr_scheduler=LRSchedulerSection(name="passthrough", config=None),
        regime=RegimeSection(
            num_steps=section.num_steps,
            checkpoint_every_n_steps=interval,
            keep_last_n_checkpoints=1,
            # fairseq2 wants that one divides the other.
            publish_metrics_every_n_steps=interval,
        ),
        trainer=trainer,
        gang=GangSection(timeout=config.gang.timeout),
        common=CommonSection(
            no_sweep_dir=True,
            seed=config.common.seed,
            torch=config.common.torch,
            assets=config.common.assets,
        ),
    )


def _model_section(config: SelectConfig) -> ModelSection:
    model = config.model

    return ModelSection(
        name=model.name,
        path=model.path,
        family=model.family,
        arch=model.arch,
        config_overrides=model.config_overrides,
        # It is trained in full precision, or mixed.
        dtype=torch.float32,
        mmap=model.mmap,
    )
