from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fairseq2_jest.cli.config import ConfigSources, load_config, with_defaults
from fairseq2_jest.cli.usage import UsageError
from tests.unit.cli.tiny_recipe import CircleConfig, SquareConfig, TinyConfig, TinyRecipe


def load(*overrides: str, preset: Path | None = None, file: Path | None = None) -> Any:
    sources = ConfigSources(
        preset=preset, files=[file] if file else [], overrides=[overrides] if overrides else []
    )

    with load_config(TinyRecipe(), sources) as (config, _):
        return config


def write(path: Path, text: str) -> Path:
    path.write_text(text)

    return path


def test_order_of_layers(tmp_path: Path) -> None:
    preset = write(tmp_path / "p.yaml", "steps: 1\nlimit: 1.0\nshape: {config: {radius: 1.5}}\n")

    file = write(tmp_path / "f.yaml", "steps: 2\nshape: {config: {filled: true}}\n")

    config = load("steps=3", preset=preset, file=file)

    assert (config.steps, config.limit, config.fail) == (3, 1.0, False)
    assert config.shape.config == CircleConfig(radius=1.5, filled=True)


def test_component_of_another_name_starts_from_its_own_defaults(tmp_path: Path) -> None:
    preset = write(tmp_path / "p.yaml", "shape: {name: circle, config: {radius: 9.0}}\n")

    assert load("shape.name=square", preset=preset).shape.config == SquareConfig()
    assert load("shape.name=square", "shape.config.side=5").shape.config == SquareConfig(side=5)


def test_override_reaches_into_what_one_before_it_sets_whole() -> None:
    whole = "shape={name: circle, config: {radius: 2.0}}"

    assert load(whole, "shape.config.filled=true").shape.config == CircleConfig(
        radius=2.0, filled=True
    )
    assert load("shape.config.radius=3.0", whole).shape.config == CircleConfig(radius=2.0)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("stepz=3", "stepz is not a known config key; did you mean steps?"),
        ("zzz=3", "zzz is not a known config key; known are"),
        ("shape.config.radiuss=2", "shape.config.radiuss is not a known config key; did you mean"),
        ("shape.name=squar", "shape.name is 'squar', which is not known; did you mean square?"),
        ("steps=3.5", "steps must be a whole number, but is 3.5."),
        ("steps=true", "steps must be a whole number, but is True."),
        ("steps=null", "steps must be a whole number, but is None."),
        ("steps=abc", "steps must be a whole number, but is 'abc'."),
        ("limit=abc", "limit must be a number, but is 'abc'."),
        ("fail=1", "fail must be true or false, but is 1."),
        ("shape=3", "shape must be a mapping with keys name, config, but is 3."),
        ("shape.config=[1]", "shape.config must be a mapping with keys radius, filled"),
        ("languages=eng_Latn", "languages must be a list, but is 'eng_Latn'."),
        ("languages=[1]", "languages[0] must be text"),
        ("weights={a: b}", "weights.a must be a number, but is 'b'."),
        ("weights=3", "weights must be a mapping, but is 3."),
        ("output=3", "output must be a path, but is 3."),
        ("common.torch.num_threads=1.5", "common.torch.num_threads must be a whole number"),
        ("seq2seq_generator.name=bem", "seq2seq_generator.name is 'bem', which is not known"),
        ("seq2seq_generator.config.beam_sise=2", "did you mean beam_size?"),
        ("seq2seq_generator.config.algo.name=standart", "did you mean standard?"),
    ],
)
def test_fault_is_told_by_its_field_and_the_mend(override: str, sentence: str) -> None:
    with pytest.raises(UsageError) as info:
        load(override)

    assert str(info.value).startswith("--config: ")
    assert sentence in str(info.value)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "tokenizer.name=nllb-20",
            "tokenizer.name is nllb-20, which is not a known tokenizer; did",
        ),
        # A name that exists, but as something else.
        ("dataset.name=nllb-200", "dataset.name is nllb-200, which is not a known dataset"),
        ("dataset.family=paralel_text", "did you mean parallel_text?"),
    ],
)
def test_unknown_asset_is_told_with_near_ones(override: str, sentence: str) -> None:
    with pytest.raises(UsageError) as info:
        load(override)

    assert sentence in str(info.value)


def test_choice_of_a_component_names_near_ones() -> None:
    with pytest.raises(
        UsageError, match=r"corner is 'rond', which is not known; did you mean round"
    ):
        load("shape.name=square", "shape.config.corner=rond")


def test_fault_in_a_file_names_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.yaml", "stepz: 2\n")

    with pytest.raises(UsageError, match=r"mine\.yaml: stepz is not a known config key"):
        load(file=file)


def test_failed_validation_is_one_sentence() -> None:
    with pytest.raises(UsageError, match=r"`dataset` is not valid: `name` or `family` must be"):
        load("dataset.family=null")


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_fairseq2_does_not_take_is_told(seed: int) -> None:
    with pytest.raises(UsageError, match=r"`common\.seed` must be in \[0, 2\*\*32\), but is "):
        load(f"common.seed={seed}")


def test_absent_extension_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairseq2.composition.extensions.entry_points", lambda group: [])

    with pytest.raises(UsageError, match="extension of fairseq2_jest did not load"):
        load()


def test_cards_of_extra_paths_are_known(tmp_path: Path) -> None:
    write(tmp_path / "card.yaml", "name: my_bitext\ndataset_family: parallel_text\n")

    config = load(f"common.assets.extra_paths=[{tmp_path}]", "dataset.name=my_bitext")

    assert config.dataset.name == "my_bitext"


def test_class_with_defaults_is_the_config_again() -> None:
    config = TinyConfig(steps=7, languages=["deu_Latn"])

    kls = with_defaults(config)

    assert issubclass(kls, TinyConfig)
    assert replace(config, steps=8) == TinyConfig(**vars(kls(steps=8)))
    assert vars(kls()) == vars(config)
