from __future__ import annotations

from pathlib import Path

import pytest

from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.cli.presets import find_preset
from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.recipes.finetune.config import FinetuneConfig
from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe
from tests.hugging_face import make_folder
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


def finetune(*overrides: str, preset: str | None = None) -> FinetuneConfig:
    file = None if preset is None else find_preset("finetune", preset).file

    sources = ConfigSources(preset=file, overrides=[["dataset.name=builtin-ende", *overrides]])

    with load_config(FinetuneRecipe(), sources) as (config, _):
        assert isinstance(config, FinetuneConfig)

        return config


def test_a_model_without_a_tokenizer_brings_its_own(tmp_path: Path) -> None:
    folder = str(make_folder(tmp_path / "model", "mbart50"))

    # Over the defaults and over a preset that names one.
    for preset in (None, "iid", "demo-jest"):
        assert finetune(f"model.name={folder}", preset=preset).tokenizer.name == folder

    assert finetune("model.name=mbart-large-50").tokenizer.name == "mbart-large-50"
    assert finetune("model.name=nllb-200_dense_1b").tokenizer.name == "nllb-200"
    assert finetune().tokenizer.name == "nllb-200"
    assert finetune(preset="demo-jest").tokenizer.name == "builtin-ende"

    both = finetune(f"model.name={folder}", "tokenizer.name=nllb-200")

    assert both.tokenizer.name == "nllb-200"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("./nothing", "model.name is ./nothing, which cannot be used: nothing is not a folder"),
        ("hg://owner", "is not of the form hg://owner/name"),
        ("mbart-large-5", "is not a known model; did you mean mbart-large-50"),
    ],
)
def test_models_that_are_not_there_are_told(name: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        finetune(f"model.name={name}")
