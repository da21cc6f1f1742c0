"""What cannot be exported is told before anything is written, and before a run begins."""

from __future__ import annotations

from pathlib import Path

import pytest
from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.config import ModelSection, TokenizerSection
from fairseq2.recipe.run import run

from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.cli.presets import find_preset
from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.recipes.export import export, hook
from fairseq2_jest.recipes.finetune.check import check
from fairseq2_jest.recipes.finetune.config import FinetuneConfig
from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe
from tests.hugging_face import library, make_folder


def refuse(*args: object) -> None:
    raise ModelError("It has no counterpart.")


def test_the_tokenizer_comes_before_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library()

    def write(*args: object) -> None:
        raise AssertionError("The weights are written.")

    monkeypatch.setattr(export, "hugging_face_tokenizer", refuse)
    monkeypatch.setattr(export, "_export_weights", write)

    folder = make_folder(tmp_path / "nllb", "nllb")

    with pytest.raises(ModelError, match="no counterpart"):
        export.export_model(str(folder), tmp_path / "out")

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("s2t_conformer", "Models of the family s2t_conformer have no counterpart"),
        ("nllb", "A tokenizer of the type object has no counterpart"),
    ],
)
def test_a_run_that_cannot_export_is_told_before_its_model_is_loaded(
    family: str, message: str
) -> None:
    model = ModelSection(family=family, arch="nowhere")

    section = TokenizerSection(path=Path("nowhere"), family="nllb")

    with pytest.raises(ModelError, match=message):
        # Stands for a tokenizer of a kind that nobody knows.
        hook.create_export_tokenizer(RecipeContext(library()), model, section, object())  # type: ignore[arg-type]


@pytest.mark.parametrize("by_check", [True, False])
def test_mt_check_and_the_start_of_a_run_tell_it(
    by_check: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook, "hugging_face_tokenizer", refuse)

    def load(*args: object) -> None:
        raise AssertionError("The model is loaded.")

    monkeypatch.setattr(RecipeContext, "get_model_as", load)

    file, overrides = find_preset("finetune", "demo-iid").file, ["regime.export_hugging_face=true"]

    sources = ConfigSources(preset=file, overrides=[overrides])

    with load_config(FinetuneRecipe(), sources) as (config, _):
        assert isinstance(config, FinetuneConfig)

        if by_check:
            with pytest.raises(ModelError, match="no counterpart"):
                check(config)

    if not by_check:
        with pytest.raises(ModelError, match="no counterpart"):
            run(FinetuneRecipe(), config, tmp_path / "out", no_rich=True, no_progress=True)
