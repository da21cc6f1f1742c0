"""Recipes that are not ours, beside the plugin."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fairseq2.nn import Linear
from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.recipe.config import (
    CommonSection,
    GangSection,
    LRSchedulerSection,
    MetricRecordersConfig,
    ModelSection,
    OptimizerSection,
    RegimeSection,
    TensorBoardConfig,
    TokenizerSection,
    TrainerSection,
)
from fairseq2.recipe.run import run
from fairseq2.task import Task
from typing_extensions import override

from fairseq2_jest.corpus.dataset import ParallelText
from fairseq2_jest.embedding.builtin_reference import BuiltinReferenceConfig
from fairseq2_jest.recipes.reading import create_selecting_reader
from fairseq2_jest.recipes.sections import (
    BatchSelectorSection,
    BitextSection,
    ReferenceEncoderSection,
)
from fairseq2_jest.selection.joint import JointConfig
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.training.clock import StepClock
from fairseq2_jest.training.flops import FlopsModel
from fairseq2_jest.training.unit import CriterionConfig, TranslationTrainUnit


def common() -> CommonSection:
    recorders = MetricRecordersConfig(tensorboard=TensorBoardConfig(enabled=False))

    return CommonSection(no_sweep_dir=True, metric_recorders=recorders)


@dataclass(kw_only=True)
class PlainConfig:
    gang: GangSection = field(default_factory=GangSection)
    common: CommonSection = field(default_factory=common)


class PlainTask(Task):
    """Something that has nothing to do with translation."""

    def __init__(self, file: Path) -> None:
        self._file = file

    @override
    def run(self) -> None:
        self._file.write_text(f"{Linear(2, 3, bias=True).weight.shape[0]}")

    @override
    def request_stop(self) -> None: ...

    @override
    def close(self) -> None: ...

    @property
    @override
    def step_nr(self) -> int:
        return 1


class PlainRecipe(Recipe):
    @override
    def create_task(self, context: RecipeContext) -> Task:
        return PlainTask(context.output_dir / "result")

    @property
    @override
    def config_kls(self) -> type[object]:
        return PlainConfig


def test_a_recipe_without_translation_runs_unchanged(tmp_path: Path) -> None:
    run(PlainRecipe(), PlainConfig(), tmp_path, no_rich=True, no_progress=True)

    assert (tmp_path / "result").read_text() == "3"


@dataclass(kw_only=True)
class OwnConfig:
    """A recipe of somebody else's that names our data set and our components."""

    model: ModelSection = field(
        default_factory=lambda: ModelSection(family="nllb", arch="tiny_builtin")
    )
    tokenizer: TokenizerSection = field(
        default_factory=lambda: TokenizerSection(name="builtin-ende")
    )
    dataset: BitextSection = field(
        default_factory=lambda: BitextSection(name="builtin-ende", max_seq_len=96)
    )
    selector: BatchSelectorSection = field(
        default_factory=lambda: BatchSelectorSection(
            name="joint", config=JointConfig(super_batch_size=40, filter_ratio=0.5)
        )
    )
    reference: ReferenceEncoderSection = field(
        default_factory=lambda: ReferenceEncoderSection(
            name="builtin", config=BuiltinReferenceConfig()
        )
    )
    optimizer: OptimizerSection = field(default_factory=OptimizerSection)
    lr_scheduler: LRSchedulerSection = field(
        default_factory=lambda: LRSchedulerSection(name="passthrough", config=None)
    )
    regime: RegimeSection = field(default_factory=lambda: RegimeSection(num_steps=2))
    trainer: TrainerSection = field(default_factory=TrainerSection)
    gang: GangSection = field(default_factory=GangSection)
    common: CommonSection = field(default_factory=common)


class OwnRecipe(Recipe):
    reader: SelectingDataReader

    @override
    def create_task(self, context: RecipeContext) -> Task:
        config = context.get_config_as(OwnConfig)

        self.reader = create_selecting_reader(
            context,
            context.get_dataset_as(ParallelText).open("train"),
            context.get_tokenizer(),
            dataset=config.dataset,
            batch_selector=config.selector,
            reference_encoder=config.reference,
            seed=1,
        )

        unit = TranslationTrainUnit(
            context.get_data_parallel_model(),
            CriterionConfig(),
            self.reader,
            FlopsModel(encoder=1, decoder=1),
            StepClock(),
        )

        return context.create_trainer(unit, self.reader)

    @property
    @override
    def config_kls(self) -> type[object]:
        return OwnConfig


def test_a_recipe_of_ones_own_gets_joint_selection(tmp_path: Path) -> None:
    recipe = OwnRecipe()

    run(recipe, OwnConfig(), tmp_path, no_rich=True, no_progress=True)

    stats = recipe.reader.last_stats

    assert stats is not None
    assert (stats.num_seen, stats.num_selected) == (40, 20)
    assert (tmp_path / "checkpoints" / "step_2").is_dir()
