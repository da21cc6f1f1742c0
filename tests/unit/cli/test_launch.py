from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fairseq2.recipe.base import RecipeContext
from fairseq2.task import Task

from fairseq2_jest.cli.usage import UsageError
from tests.unit.cli.tiny_recipe import TinyRecipe

Cli = Callable[..., tuple[int, str, str]]


def output(folder: Path) -> Any:
    (file,) = folder.glob("**/out.json")

    return json.loads(file.read_text())


def test_preset_file_and_overrides_reach_the_run(presets: Path, cli: Cli) -> None:
    presets.joinpath("p.yaml").write_text("steps: 1\nshape: {config: {radius: 4.0}}\n")

    Path("mine.yaml").write_text("steps: 2\nshape: {name: square}\n")

    code, _, err = cli(
        "mt", "tiny", "out", "--preset", "p", "--config-file", "mine.yaml", "--no-rich",
        "--config", "steps=3",
    )  # fmt: skip

    assert code == 0, err
    assert output(Path("out")) == {
        "steps": 3,
        "shape": "square",
        "c": "SquareConfig(side=2, corner='sharp')",
    }


def test_out_left_out_is_said_and_the_run_directory_too(presets: Path, cli: Cli) -> None:
    presets.joinpath("p.yaml").write_text("steps: 1\n")

    code, _, err = cli("mt", "tiny", "--preset", "p", "--no-rich")

    (run,) = Path("runs/p").iterdir()

    assert code == 0, err
    assert err.splitlines()[0] == "Output goes to runs/p; give OUT to choose another."
    assert f"Run directory: {run.resolve()}" in err


def test_dumped_config_gives_the_same_run(presets: Path, cli: Cli) -> None:
    presets.joinpath("p.yaml").write_text("steps: 5\nshape: {name: square}\n")

    code, dumped, _ = cli("mt", "tiny", "--preset", "p", "--dump-config")

    Path("mine.yaml").write_text(dumped)

    assert code == 0
    assert not Path("runs").exists()
    assert cli("mt", "tiny", "--dump-config", "--config-file", "mine.yaml")[:2] == (0, dumped)


def test_secrets_stay_out_of_the_log(
    presets: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    monkeypatch.setenv("HF_HOME_DIR", "not_secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pass@word@proxy:3128")
    monkeypatch.setenv("http_proxy", "me:password@proxy:3128")
    monkeypatch.setenv("MIRRORS", "https://one:password@a/path https://password@b/")
    monkeypatch.setenv("ORIGIN", "https://host:8080/path@v1 me@host:path")

    _, _, err = cli("mt", "tiny", "out", "--no-rich")

    (log,) = Path("out").glob("*/logs/rank_0.log")

    for text in (err, log.read_text()):
        assert "HF_HOME_DIR=not_secret" in text
        assert "HF_TOKEN=***" in text
        assert "HTTPS_PROXY=http://***@proxy:3128" in text
        assert "http_proxy=***@proxy:3128" in text
        assert "MIRRORS=https://***@a/path https://***@b/" in text
        assert "ORIGIN=https://host:8080/path@v1 me@host:path" in text
        assert "hf_very_secret" not in text
        assert "password" not in text and "pass@" not in text

    assert os.environ["HF_TOKEN"] == "hf_very_secret"


def test_own_error_in_a_run_is_one_sentence(presets: Path, cli: Cli) -> None:
    code, _, err = cli("mt", "tiny", "out", "--no-rich", "--config", "fail=true")

    assert code == 2
    assert err.splitlines()[-1].endswith(
        "corpus.de, line 3: {braces} and an empty side; drop the line."
    )
    assert "Traceback" not in err


def test_config_fault_is_one_sentence(presets: Path, cli: Cli) -> None:
    code, out, err = cli("mt", "tiny", "out", "--config", "stepz=1")

    assert (code, out) == (2, "")
    assert err == "fairseq2: --config: stepz is not a known config key; did you mean steps?\n"
    assert not Path("out").exists()


@pytest.mark.parametrize("place", ["out", "out/ws_1.abc"])
def test_a_run_of_finetune_is_not_written_into(place: str, presets: Path, cli: Cli) -> None:
    config = Path(place, "config.yaml")
    config.parent.mkdir(parents=True)
    config.write_text("batch_selector: {name: iid}\nregime: {num_steps: 1}\n")

    before = config.read_bytes()

    code, _, err = cli("mt", "tiny", "out", "--config", "common.no_sweep_dir=true")

    assert code == 2
    assert err == (
        f"fairseq2: {place} is a run of mt finetune, whose config.yaml would be lost or hidden "
        "behind another; name another output directory than out.\n"
    )
    assert config.read_bytes() == before
    assert [file for file in Path("out").rglob("*") if file.is_file()] == [config]


def test_whoever_is_refused_leaves_the_config_as_it_was(
    presets: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(steps: int) -> int:
        override = (f"steps={steps}", "common.no_sweep_dir=true")

        return cli("mt", "tiny", "out", "--no-rich", "--config", *override)[0]

    # A fine-tune below, as of a warm-up, is the command's own.
    Path("out/warmup").mkdir(parents=True)

    assert run(1) == 0

    Path("out/warmup/config.yaml").write_text("batch_selector: {name: iid}\nregime: {}\n")

    def refuse(self: TinyRecipe, context: RecipeContext) -> Task:
        raise UsageError("out holds something else.")

    with monkeypatch.context() as patch:
        patch.setattr(TinyRecipe, "create_task", refuse)

        assert run(2) == 2

    assert "steps: 1\n" in Path("out/config.yaml").read_text()
    assert run(2) == 0
    assert "steps: 2\n" in Path("out/config.yaml").read_text()


def test_check_prints_what_the_command_says(presets: Path, cli: Cli) -> None:
    assert cli("mt", "check", "--config", "steps=4") == (0, "4 steps\n", "")


def test_check_tells_an_own_error(presets: Path, cli: Cli) -> None:
    assert cli("mt", "check", "tiny", "--config", "fail=true") == (
        2,
        "",
        "fairseq2: corpus.de is empty; give another file.\n",
    )


def test_assets_group_is_fairseq2s(cli: Cli) -> None:
    code, out, _ = cli("assets", "show", "nllb-200")

    assert code == 0
    assert "tokenizer_family" in out
