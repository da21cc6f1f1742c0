from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import pytest
from fairseq2.recipe.config import CosineAnnealingLRConfig, LRSchedulerSection, RegimeSection
from fairseq2.utils.validation import StandardObjectValidator, ValidationError

from fairseq2_jest.evaluation.validation import ValidationConfig
from fairseq2_jest.recipes.finetune.config import FinetuneConfig
from fairseq2_jest.recipes.finetune.schedule import schedule_warning
from fairseq2_jest.selection.joint import JointConfig
from fairseq2_jest.training.early_stopping import EarlyStoppingConfig
from fairseq2_jest.training.unit import CriterionConfig

Change: TypeAlias = Callable[[FinetuneConfig], None]


def regime(**values: object) -> Change:
    def change(config: FinetuneConfig) -> None:
        for name, value in values.items():
            assert hasattr(RegimeSection(), name)

            setattr(config.regime, name, value)

    return change


def validation(**values: Any) -> Change:
    def change(config: FinetuneConfig) -> None:
        config.validation = ValidationConfig(**values)

    return change


def patience(config: FinetuneConfig) -> None:
    config.early_stopping = EarlyStoppingConfig(patience=3)


def no_validation(config: FinetuneConfig) -> None:
    config.dataset.valid_split = None


def accumulate(config: FinetuneConfig) -> None:
    config.trainer.grad_accumulation.num_batches = 4


def fsdp(**values: object) -> Change:
    def change(config: FinetuneConfig) -> None:
        config.trainer.data_parallelism = "fsdp"

        for name, value in values.items():
            assert hasattr(config.trainer.fsdp, name)

            setattr(config.trainer.fsdp, name, value)

    return change


def few_layers(config: FinetuneConfig) -> None:
    config.batch_selector.num_learner_layers = 2


def changed(*changes: Change) -> FinetuneConfig:
    config = FinetuneConfig()

    for change in changes:
        change(config)

    return config


def test_the_defaults_are_valid_down_to_the_last_field() -> None:
    StandardObjectValidator().validate(FinetuneConfig())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([regime(num_steps=None)], "`regime.num_steps` must be set"),
        ([regime(num_data_epochs=2)], "must count in steps, not in data epochs"),
        ([regime(validate_every_n_data_epochs=1)], "must count in steps, not in data epochs"),
        ([regime(checkpoint_every_n_data_epochs=1)], "must count in steps, not in data epochs"),
        ([regime(publish_metrics_every_n_data_epochs=1)], "must count in steps"),
        ([patience], "`regime.score_metric` must be set (nll_loss, bleu, chrf or comet)"),
        (
            [patience, regime(score_metric="bleu", validate_every_n_steps=None)],
            "`regime.validate_every_n_steps` must be set where `early_stopping.patience` is.",
        ),
        (
            [patience, regime(score_metric="bleu"), no_validation],
            "`dataset.valid_split` must be set where `early_stopping.patience` is.",
        ),
        (
            [regime(score_metric="bleu"), validation(bleu=False)],
            "`validation.bleu` must be asked for to be `regime.score_metric`.",
        ),
        (
            [regime(score_metric="chrf"), validation(chrf=False)],
            "`validation.chrf` must be asked for to be `regime.score_metric`.",
        ),
        ([accumulate], "`trainer.grad_accumulation.num_batches` must be 1"),
        ([fsdp(version="v1")], "`trainer.fsdp.version` must be v2"),
        ([fsdp(granularity="stack"), few_layers], "`trainer.fsdp.granularity` must be layer"),
    ],
)
def test_what_does_not_go_together_is_said(changes: list[Change], message: str) -> None:
    (error,) = changed(*changes).validate().errors

    assert message in error
    assert "\n" not in error


def test_all_that_is_wrong_is_said_at_once() -> None:
    config = changed(
        regime(num_steps=None, num_data_epochs=2, score_metric="bleu"),
        validation(bleu=False),
        accumulate,
    )

    assert len(config.validate().errors) == 4


@pytest.mark.parametrize(
    "changes",
    [
        [patience, regime(score_metric="nll_loss")],
        [patience, regime(score_metric="bleu")],
        [regime(score_metric="bleu"), validation(chrf=False)],
        [regime(score_metric="chrf"), validation(bleu=False)],
        [regime(score_metric="nll_loss"), validation(bleu=False, chrf=False)],
        [validation(bleu=False, chrf=False)],
        [fsdp(granularity="stack")],
        [fsdp(), few_layers],
    ],
)
def test_what_goes_together_is_let_through(changes: list[Change]) -> None:
    assert not changed(*changes).validate().has_error()


@pytest.mark.parametrize(
    ("section", "value", "path"),
    [
        ("criterion", CriterionConfig(label_smoothing=1.0), "label_smoothing"),
        ("validation", ValidationConfig(max_num_examples=0), "max_num_examples"),
        ("early_stopping", EarlyStoppingConfig(patience=0), "patience"),
    ],
)
def test_a_section_that_is_wrong_is_named(section: str, value: object, path: str) -> None:
    config = FinetuneConfig()
    config.regime.score_metric = "bleu"
    setattr(config, section, value)

    with pytest.raises(ValidationError) as info:
        StandardObjectValidator().validate(config)

    assert section in str(info.value) and path in str(info.value)


def test_a_component_that_is_wrong_is_named() -> None:
    config = FinetuneConfig()
    config.batch_selector = replace(config.batch_selector, config=JointConfig(super_batch_size=0))

    with pytest.raises(ValidationError, match=r"batch_selector.*config.*super_batch_size"):
        StandardObjectValidator().validate(config)


def test_two_configs_share_no_section() -> None:
    one, other = FinetuneConfig(), FinetuneConfig()

    one.regime.num_steps = 1
    one.dataset.max_seq_len = 5

    assert (other.regime.num_steps, other.dataset.max_seq_len) == (2000, 256)


@pytest.mark.parametrize(
    ("num_warmup_steps", "warning"),
    [
        (93, None),
        (94, "ends at 100% of"),
        (
            500,
            "The learning rate ends at 19% of `optimizer.config.lr`: "
            "`lr_scheduler.config.num_warmup_steps` is 500, but the run has 94 step(s)",
        ),
    ],
)
def test_a_warm_up_that_is_not_completed_is_warned_of(
    num_warmup_steps: int, warning: str | None
) -> None:
    config = changed(regime(num_steps=94))

    config.lr_scheduler = LRSchedulerSection(
        name="cosine_annealing", config=CosineAnnealingLRConfig(num_warmup_steps=num_warmup_steps)
    )

    assert not config.validate().has_error()

    told = schedule_warning(config)

    assert (told is None) == (warning is None)
    assert (warning or "") in (told or "")
