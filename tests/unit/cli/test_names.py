from __future__ import annotations

from pathlib import Path

import pytest

from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.cli.usage import UsageError
from tests.unit.cli.tiny_recipe import TinyConfig, TinyRecipe


def load(*overrides: str) -> TinyConfig:
    with load_config(TinyRecipe(), ConfigSources(overrides=[overrides])) as (config, _):
        assert isinstance(config, TinyConfig)

        return config


def test_a_model_stands_for_its_tokenizer() -> None:
    # Its card refers to the tokenizer's, which fairseq2 follows.
    name = "nllb-200_dense_distill_600m"

    assert load(f"tokenizer.name={name}").tokenizer.name == name


def test_a_card_of_an_absent_family_is_told(tmp_path: Path) -> None:
    tmp_path.joinpath("card.yaml").write_text("name: theirs\ndataset_family: their_family\n")

    with pytest.raises(UsageError) as info:
        load(
            f"common.assets.extra_paths=[{tmp_path}]",
            "dataset.name=theirs",
            "dataset.config_overrides.x=1",
        )

    assert str(info.value) == (
        "dataset.name is theirs, of the dataset family their_family, which nothing here registers; "
        "install what does."
    )


def test_overrides_that_do_not_merge_are_told() -> None:
    with pytest.raises(UsageError, match=r"dataset\.config_overrides cannot be used: .*_del_"):
        load("dataset.config_overrides={_del_: 3}")
