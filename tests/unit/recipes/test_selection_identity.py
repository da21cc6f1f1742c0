"""What decides a score or a warm-up is in its identity, and nothing else is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fairseq2.recipe.config import CommonSection, TokenizerSection, TorchConfig

from fairseq2_jest.corpus.prompt import PromptConfig
from fairseq2_jest.influence.diversity import DiversityConfig
from fairseq2_jest.influence.layers import LayersConfig, find_layers
from fairseq2_jest.influence.rule import RuleConfig
from fairseq2_jest.recipes.model_kinds import DecoderOnlyKind
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.identity import identity_of, warmup_identity
from fairseq2_jest.recipes.select.sections import (
    PoolSection,
    ScoringConfig,
    ScoringModelSection,
    WarmupSection,
)
from tests.hugging_face import library
from tests.unit.language_models import language_tokenizer
from tests.unit.tiny import model, random_pairs

CONFIG = SelectConfig(warmup=WarmupSection(num_steps=3))

LEARNER = model()


def kind_of(config: SelectConfig) -> DecoderOnlyKind:
    return DecoderOnlyKind(language_tokenizer(), config.prompt)


def of_scores(config: SelectConfig) -> Mapping[str, object]:
    pool: Any = SimpleNamespace(digest="a")

    return identity_of(
        config,
        kind_of(config),
        LEARNER,
        find_layers(LEARNER, LayersConfig(stride=1)),
        pool,
        pool,
        np.arange(2),
        random_pairs(2),
    )


def of_warmup(config: SelectConfig, digest: str = "a") -> Mapping[str, object]:
    pool: Any = SimpleNamespace(digest=digest)

    assert config.warmup is not None

    return warmup_identity(config, config.warmup, kind_of(config), pool, library())


@pytest.mark.parametrize(
    "changes",
    [
        {"common": CommonSection(seed=7)},
        {"common": CommonSection(torch=TorchConfig(allow_tf32=False))},
        {"common": CommonSection(torch=TorchConfig(bf16_reduced_precision=False))},
        {"scoring": ScoringConfig(amp=True)},
        {"prompt": PromptConfig(template="{src_text} =")},
        {"dataset": PoolSection(family="parallel_text", max_seq_len=7)},
        {"warmup": WarmupSection(num_steps=3, lr=0.5)},
    ],
)
def test_both_tell_settings_apart(changes: dict[str, Any]) -> None:
    config = replace(CONFIG, **changes)

    assert of_scores(config) != of_scores(CONFIG)
    assert of_warmup(config) != of_warmup(CONFIG)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": ScoringModelSection(name="another")},
        {"model": replace(CONFIG.model, config_overrides={"dropout_p": 0.5})},
        {"tokenizer": TokenizerSection(name="another")},
        {"tokenizer": replace(CONFIG.tokenizer, config_overrides={"langs": ["a"]})},
    ],
)
def test_a_warm_up_is_told_apart_by_what_it_begins_with(changes: dict[str, Any]) -> None:
    assert of_warmup(replace(CONFIG, **changes)) != of_warmup(CONFIG)


def test_a_warm_up_is_told_apart_by_its_pool() -> None:
    assert of_warmup(CONFIG, "b") != of_warmup(CONFIG)


@pytest.mark.parametrize(
    "scoring",
    [
        ScoringConfig(max_discarded=0.2),
        ScoringConfig(rank=7),
        ScoringConfig(reduction="sum"),
        ScoringConfig(precision="float16"),
    ],
)
def test_scores_are_told_apart_by_how_they_are_computed(scoring: ScoringConfig) -> None:
    config = replace(CONFIG, scoring=scoring)

    assert of_scores(config) != of_scores(CONFIG)
    assert of_warmup(config) == of_warmup(CONFIG)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (ScoringConfig(max_discarded=-0.1), "`max_discarded` must be at least 0 and less than 1"),
        (ScoringConfig(max_discarded=1.0), "`max_discarded` must be at least 0 and less than 1"),
        (ScoringConfig(max_discarded=float("nan")), "`max_discarded` must be at least 0"),
        (ScoringConfig(rank=0), "`rank` must be at least 1 or null"),
        (ScoringConfig(block_size=0), "`block_size` must be at least 1"),
        (ScoringConfig(log_every_seconds=0.0), "`log_every_seconds` must be positive"),
    ],
)
def test_how_they_are_computed_is_checked(config: ScoringConfig, message: str) -> None:
    assert message in str(config.validate())


@pytest.mark.parametrize(
    "changes",
    [
        {"rule": RuleConfig(quantile=0.1)},
        {"diversity": DiversityConfig(num_selected=9, seed=7, draw="best")},
        {"common": CommonSection(no_sweep_dir=False)},
        {"preview_only": True},
    ],
)
def test_what_is_chosen_may_change_without_another_score(changes: dict[str, Any]) -> None:
    config = replace(CONFIG, **changes)

    assert of_scores(config) == of_scores(CONFIG)
    assert of_warmup(config) == of_warmup(CONFIG)
