from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairseq2_jest.report.write import write_report
from tests.unit.report.page_parser import Page
from tests.unit.report.synthetic import audit, write_run

Make = Callable[..., tuple[Page, str, dict[str, Any]]]

IID = {20: 3.5, 40: 3.0}
JEST = {20: 3.0, 40: 2.0}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(*runs: Path, **options: Any) -> tuple[Page, str, dict[str, Any]]:
        out = tmp_path / "report"

        write_report(out, runs, **options)

        text = (out / "report.html").read_text(encoding="utf-8")

        def refuse(token: str) -> None:
            raise AssertionError(f"{token} is not JSON")

        numbers = json.loads(
            (out / "report.json").read_text(encoding="utf-8"), parse_constant=refuse
        )

        page = Page(text)

        page.check()

        assert "://" not in text

        names = {figure["id"] for figure in page.all("figure")}

        assert {file.stem for file in out.glob("*.png")} == names

        return page, text, numbers

    return make


def test_page_of_two_runs(make: Make, tmp_path: Path) -> None:
    page, _, numbers = make(
        write_run(tmp_path / "iid", IID, selector="iid"),
        write_run(tmp_path / "jest", JEST, audits=[audit(10), audit(20)]),
    )

    # Three measures against three costs, training loss, reference scores, redundancy and noise.
    assert len(page.all("svg")) == 9 + 1 + 1 + 2
    assert {"joint, 10 of 100", "80.0 TFLOP", "≤ 0.50 ×", "3.000", "67 %"} <= set(page.cells)
    assert numbers["runs"][1]["final"] == {"loss": 2.0, "bleu": 30.0, "chrf": 60.0, "comet": None}
    assert numbers["targets"][0]["arms"][1]["ratio"]["samples"] == pytest.approx(0.5)
    assert "above 90 % (reference score) of those passed over" in page.cells


def test_runs_of_like_names_have_figures_of_their_own(make: Make, tmp_path: Path) -> None:
    page, _, _ = make(
        *(
            write_run(tmp_path / name, JEST, selector=selector, audits=[audit(10)])
            for name, selector in (("a b", "joint"), ("a-b", "independent"), ("a-b-2", "mine"))
        )
    )

    names = [figure["id"] for figure in page.all("figure")]

    assert len(set(names)) == len(names)
    assert sum(str(name).startswith("reference-score-a-b") for name in names) == 3


def test_texts_are_escaped_and_know_their_direction(make: Make, tmp_path: Path) -> None:
    source, target = "<script>alert('x')</script> & \"q\"", "قطة <b>تجلس</b>"

    page, text, _ = make(write_run(tmp_path / "jest", JEST, audits=[audit(10, source, target)]))

    assert source in page.cells and target in page.cells
    assert "<script" not in text and "<b>" not in text
    assert sum(cell.get("dir") == "auto" for cell in page.all("td")) == 4


def test_names_are_escaped_everywhere(make: Make, tmp_path: Path) -> None:
    name = 'a & <b> $x$ "q"'

    page, text, _ = make(write_run(tmp_path / name, JEST), write_run(tmp_path / "iid", IID))

    assert name in page.cells
    assert "<b>" not in text


def test_seeds_are_drawn_with_their_range(make: Make, tmp_path: Path) -> None:
    page, _, numbers = make(
        write_run(tmp_path / "jest-1", JEST, seed=1),
        write_run(tmp_path / "jest-2", {20: 3.2, 40: 2.2}, seed=2),
    )

    assert "mean of jest" in page.cells
    assert "2.100 (2.000–2.200)" in page.cells

    last = numbers["arms"][0]["quality"]["loss"][-1]

    assert [last[key] for key in ("mean", "low", "high")] == pytest.approx([2.1, 2.0, 2.2])


def test_every_direction_is_drawn(make: Make, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "jest", JEST)

    write_run(folder, {20: 4.0, 40: 3.0}, direction="eng_Latn-fra_Latn")

    page, _, numbers = make(folder)

    assert "loss-samples-eng_Latn-fra_Latn" in {figure["id"] for figure in page.all("figure")}
    assert numbers["runs"][0]["final"]["loss"] == 2.5


def test_runs_without_validation_have_a_page(make: Make, tmp_path: Path) -> None:
    page, text, _ = make(write_run(tmp_path / "jest"))

    assert 'id="quality"' not in text
    assert len(page.all("svg")) > 0


def test_what_is_not_finite_is_null_and_said(make: Make, tmp_path: Path) -> None:
    page, _, numbers = make(write_run(tmp_path / "jest", {20: 3.0, 40: math.nan}))

    assert numbers["runs"][0]["final"]["loss"] is None
    assert "not a number" in page.cells


def test_one_record_is_enough(make: Make, tmp_path: Path) -> None:
    page, _, _ = make(write_run(tmp_path / "jest", {10: 3.0}, steps=10))

    assert len(page.all("svg")) > 9


def test_more_arms_than_looks(make: Make, tmp_path: Path) -> None:
    runs = [write_run(tmp_path / f"arm {i}", JEST, selector=f"own{i}") for i in range(9)]

    _, text, _ = make(*runs)

    # What was chosen and passed over keeps its own looks.
    assert set(re.findall(r"var\(--look-(\d)\)", text)) == set("012345678")


def test_given_targets_are_said_to_be(make: Make, tmp_path: Path) -> None:
    _, text, _ = make(write_run(tmp_path / "jest", JEST), targets={"loss": 2.5})

    assert "To reach validation loss 2.500, as asked for." in text


def test_report_is_made_again(make: Make, tmp_path: Path) -> None:
    run = write_run(tmp_path / "jest", JEST)

    make(run)

    files = sorted((tmp_path / "report").iterdir())

    for file in files:
        file.write_text("earlier")
        # Another name of the same file: what is written in place changes under a reader, and a kill
        # leaves half of it.
        os.link(file, tmp_path / file.name)

    make(run)

    assert sorted((tmp_path / "report").iterdir()) == files

    for file in files:
        assert file.read_bytes() != b"earlier"
        assert (tmp_path / file.name).read_bytes() == b"earlier"
