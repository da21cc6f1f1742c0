"""A report on real runs: its numbers are those of their files."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from fairseq2.recipe.run import run

from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe
from fairseq2_jest.report.runs import read_run
from fairseq2_jest.report.write import write_report
from tests.integration.runs import TINY, finetune, load
from tests.repository import REPOSITORY
from tests.unit.report.page_parser import Page

DIRECTION = "eng_Latn-deu_Latn"

REGIME = (
    "regime.num_steps=4",
    "regime.validate_every_n_steps=2",
    "regime.checkpoint_every_n_steps=4",
    "regime.publish_metrics_every_n_steps=1",
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")

    finetune(folder / "jest", *REGIME)

    kept = [item for item in TINY if not item.startswith("batch_selector")]

    iid = load("demo-iid", [*kept, "batch_selector.config.batch_size=12", *REGIME])

    run(FinetuneRecipe(), iid, folder / "iid", no_rich=True, no_progress=True)

    return [folder / "jest", folder / "iid"]


@pytest.fixture(scope="module")
def report(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report")

    write_report(out, runs)

    return out


def records(run: Path, name: str) -> list[dict[str, Any]]:
    lines = (run / "metrics" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()

    return [json.loads(line) for line in lines]


def test_page_stands_alone(report: Path) -> None:
    text = (report / "report.html").read_text(encoding="utf-8")

    page = Page(text)

    page.check()

    assert "://" not in text
    assert len(page.all("svg")) == len(list(report.glob("*.png"))) >= 14


def test_numbers_are_those_of_the_files(report: Path, runs: list[Path]) -> None:
    numbers = json.loads((report / "report.json").read_text(encoding="utf-8"))

    assert [run["name"] for run in numbers["runs"]] == ["jest", "iid"]
    assert numbers["baseline"] == "iid"

    for found, folder in zip(numbers["runs"], runs, strict=True):
        train, valid = records(folder, "train"), records(folder, f"valid/{DIRECTION}")

        last = train[-1]

        assert found["steps"] == last["Step"] == 4

        spent = {
            "seen": "num_seen",
            "samples": "num_selected",
            "training_flops": "training_flops",
            "selection_flops": "selection_flops",
            "selection_seconds": "selection_time",
        }

        for key, name in spent.items():
            assert found["spent"][key] == last[f"total_{name}"]

        assert found["spent"]["seconds"] == last["Total Time"]
        assert found["noise_share"] == last["total_num_noise_selected"] / last["total_num_selected"]
        assert [p["loss"] for p in found["training"]] == [r["NLL Loss"] for r in train]

        for point, record in zip(found["validations"][DIRECTION], valid, strict=True):
            assert (point["step"], point["loss"], point["bleu"], point["chrf"]) == (
                record["Step"], record["NLL Loss"], record["BLEU"], record["chrF++"],
            )  # fmt: skip

            (at_step,) = [r for r in train if r["Step"] == record["Step"]]

            assert point["spent"]["samples"] == at_step["total_num_selected"]

        assert found["final"]["loss"] == valid[-1]["NLL Loss"]


def test_what_a_selector_did_is_read(runs: list[Path]) -> None:
    jest = read_run(runs[0])

    assert jest.selects
    assert not read_run(runs[1]).selects
    assert {"redundancy", "reference_score_selected"} <= jest.training[-1].series.keys()


def test_page_of_a_run_in_progress(runs: list[Path], tmp_path: Path) -> None:
    """As a kill leaves it: in the middle of a line."""
    killed = tmp_path / "killed"

    for name in ("config.yaml", "metrics/train.jsonl", "selection.jsonl"):
        (killed / name).parent.mkdir(parents=True, exist_ok=True)

        (killed / name).write_bytes((runs[0] / name).read_bytes()[:-40])

    (killed / "config.yaml").write_bytes((runs[0] / "config.yaml").read_bytes())

    report = write_report(tmp_path / "report", [killed])

    assert report.runs[0].steps == 3
    assert any("3 of 4 steps" in note for note in report.notes)


def test_wheel_has_the_template(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=REPOSITORY, check=True, capture_output=True,
    )  # fmt: skip

    (wheel,) = tmp_path.glob("*.whl")

    with zipfile.ZipFile(wheel) as archive:
        assert "fairseq2_jest/report/page.html" in archive.namelist()
