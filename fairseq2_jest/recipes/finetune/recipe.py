"""The recipe of `fairseq2 mt finetune`."""

from __future__ import annotations

import torch
from fairseq2.logging import log
from fairseq2.models.hg import HuggingFaceConfig
from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.recipe.composition import register_reference_model
from fairseq2.recipe.internal.model import _ModelHolder
from fairseq2.runtime.dependency import DependencyContainer
from fairseq2.task import Task
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.corpus.dataset import ParallelText
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.evaluation.validation import TranslationEvalUnit, check_tokenizers
from fairseq2_jest.models.hugging_face.causal import find_converter
from fairseq2_jest.recipes.adapting import attach_adapter
from fairseq2_jest.recipes.checkpoint_card import checkpoint_dir, complete_card
from fairseq2_jest.recipes.export.hook import complete_exports, create_export_tokenizer
from fairseq2_jest.recipes.finetune.comet import open_comet
from fairseq2_jest.recipes.finetune.config import FinetuneConfig
from fairseq2_jest.recipes.finetune.resume import check_number_of_ranks, last_full_step
from fairseq2_jest.recipes.finetune.schedule import schedule_warning
from fairseq2_jest.recipes.model_kinds import ModelKind, create_model_kind
from fairseq2_jest.recipes.reading import (
    check_size,
    create_selecting_reader,
    create_selector,
)
from fairseq2_jest.recipes.task import FinishedTask
from fairseq2_jest.training.clock import StepClock
from fairseq2_jest.training.early_stopping import PatienceEarlyStopper, set_early_stopper
from fairseq2_jest.training.errors import TrainingError
from fairseq2_jest.training.flops import FlopsModel, predict_selection_cost
from fairseq2_jest.training.unit import TranslationTrainUnit
from fairseq2_jest.training.valid_reader import ValidationReader, rows_of_direction


class FinetuneRecipe(Recipe):
    """Fine-tunes a model on the pairs that a batch selector chooses."""

    @override
    def register(self, container: DependencyContainer) -> None:
        register_reference_model(container, "reference_model")

    @override
    def setup_model(self, context: RecipeContext, model: Module, newly_initialized: bool) -> Module:
        config = context.get_config_as(FinetuneConfig)

        complete_card(context, config.model)

        attach_adapter(
            context,
            model,
            config.adapter,
            model_section=config.model,
            optimizer=config.optimizer,
            seed=config.common.seed,
        )

        return model

    @override
    def create_task(self, context: RecipeContext) -> Task:
        config = context.get_config_as(FinetuneConfig)

        check_number_of_ranks(context, sharded=config.trainer.data_parallelism == "fsdp")

        stopper, last_step = _early_stopper(context), last_full_step(context)

        if stopper is not None and last_step is not None and stopper.has_stopped(last_step):
            log.info(
                "The run ended early at step {}; raise early_stopping.patience for it to go on.",
                last_step,
            )

            return FinishedTask(context.gangs, last_step)

        warning = schedule_warning(config)

        if warning is not None:
            log.warning("{}", warning)

        # The corpus comes first: what is wrong with it is said before a model is loaded.
        dataset = context.get_dataset_as(ParallelText)

        corpus = dataset.open(config.dataset.train_split)

        tokenizer = context.get_tokenizer()

        kind = create_model_kind(context, config.model, tokenizer, config.prompt)

        kind.check_languages(corpus)

        check_size(create_selector(context, config.batch_selector), len(corpus))

        valid_readers = self._validation_readers(context, dataset, kind)

        export_tokenizer = None

        if config.regime.export_hugging_face:
            export_tokenizer = create_export_tokenizer(
                context, config.model, config.tokenizer, tokenizer
            )

        comet = open_comet(config.validation.comet, context) if valid_readers else None

        model = context.get_model_as(kind.model_class)

        kind.check_fit(model, "the model", config.dataset.max_seq_len)

        reader = create_selecting_reader(
            context,
            corpus,
            tokenizer,
            dataset=config.dataset,
            batch_selector=config.batch_selector,
            reference_encoder=config.reference_encoder,
            reference_store=config.reference_store,
            reference_model=None if config.reference_model is None else "reference_model",
            seed=config.common.seed,
            num_steps=config.regime.num_steps,
            autocast_dtype=_autocast_dtype(config),
            log_file=context.output_dir / "selection.jsonl",
            audit=config.selection_audit,
            kind=kind,
        )

        flops = FlopsModel.of(model)

        cost = predict_selection_cost(flops, reader.embedder.passes)

        if cost > 0.0:
            log.info(
                "The learner's view is predicted to cost {:.2f} FLOPs for each FLOP of training: "
                "selection saves compute where it needs less than {:.0%} of the pairs of iid.",
                cost,
                1.0 / (1.0 + cost),
            )

        dp_model = context.get_data_parallel_model()

        clock = StepClock()
        clock.attach(context.get_optimizer())
        reader.on_read = clock.start

        unit = TranslationTrainUnit(
            dp_model,
            config.criterion,
            reader,
            flops,
            clock,
            loss=kind.loss,
            reference_flops=None
            if reader.embedder.reference_model is None
            else FlopsModel.of(reader.embedder.reference_model),
            is_first_rank=context.gangs.dp.rank == 0,
        )

        section, generator = config.seq2seq_generator, None

        # The directions share it.
        if valid_readers and config.validation.translates:
            generator = kind.create_generator(context, section)

        valid_units = [
            TranslationEvalUnit(
                dp_model,
                tokenizer,
                direction,
                config.validation,
                generator,
                comet,
                loss=kind.loss,
                translation=kind.translation(direction, section),
            )
            for direction in valid_readers
        ]

        trainer = context.create_trainer(unit, reader, valid_units, list(valid_readers.values()))

        if export_tokenizer is not None and context.gangs.root.rank == 0:
            complete_exports(
                trainer,
                context.output_dir,
                checkpoint_dir(context),
                tokenizer,
                export_tokenizer,
                {direction.target for direction in corpus.directions},
                _hugging_face_config(context),
            )

        if stopper is not None:
            set_early_stopper(trainer, stopper)

        return trainer

    def _validation_readers(
        self, context: RecipeContext, dataset: ParallelText, kind: ModelKind
    ) -> dict[Direction, ValidationReader]:
        config = context.get_config_as(FinetuneConfig)

        if config.dataset.valid_split is None:
            return {}

        corpus = dataset.open(config.dataset.valid_split)

        kind.check_languages(corpus)

        check_tokenizers(config.validation, corpus.directions)

        pair_reader = kind.pair_reader(corpus, max_seq_len=config.dataset.max_seq_len)

        batcher = kind.batcher(max_num_tokens=config.dataset.max_num_tokens)

        readers = {
            direction: ValidationReader(
                corpus,
                rows_of_direction(corpus, index),
                pair_reader,
                batcher,
                context.gangs.dp,
                max_num_tokens=config.dataset.max_num_tokens,
                num_translated=config.validation.max_num_examples,
            )
            for index, direction in enumerate(corpus.directions)
        }

        for direction, reader in readers.items():
            _check_validation(direction, reader, config.dataset.max_seq_len)

        return readers

    @property
    @override
    def config_kls(self) -> type[object]:
        return FinetuneConfig


def _early_stopper(context: RecipeContext) -> PatienceEarlyStopper | None:
    config = context.get_config_as(FinetuneConfig).early_stopping

    if config.patience is None:
        return None

    file = context.output_dir / "early_stopping.json"

    return PatienceEarlyStopper(config.patience, config.min_improvement, file)


def _check_validation(direction: Direction, reader: ValidationReader, max_seq_len: int) -> None:
    if reader.num_kept == 0:
        raise TrainingError(
            f"No validation pair of {direction} fits into dataset.max_seq_len ({max_seq_len}); "
            f"raise it, or set dataset.valid_split to null."
        )

    if reader.num_too_long > 0:
        log.warning(
            "{:,} of {:,} validation pairs of {} are longer than dataset.max_seq_len ({}) and are "
            "not scored.",
            reader.num_too_long,
            reader.num_too_long + reader.num_kept,
            direction,
            max_seq_len,
        )


def _hugging_face_config(context: RecipeContext) -> HuggingFaceConfig:
    holder = context.resolver.resolve(_ModelHolder)

    return find_converter(holder.family.name).to_hg_config(holder.config)


def _autocast_dtype(config: FinetuneConfig) -> torch.dtype | None:
    mixed_precision = config.trainer.mixed_precision

    return None if mixed_precision.mode == "off" else mixed_precision.dtype
