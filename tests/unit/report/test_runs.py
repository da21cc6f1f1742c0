from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from fairseq2_jest.report.errors import ReportError
from fairseq2_jest.report.records import read_records
from fairseq2_jest.report.runs import find_folder, name_runs, read_run
from tests.unit.report.synthetic import (
    DIRECTION,
    audit,
    train_record,
    valid_record,
    write_lines,
    write_run,
)


def test_reads_what_a_run_recorded(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "jest", {20: 3.0, 40: 2.0}, audits=[audit(10)]))

    assert (run.name, run.selector, run.seed, run.steps, run.num_steps) == (
        "jest", "joint", 1, 40, 40,
    )  # fmt: skip
    assert run.selects
    assert (run.spent.seen, run.spent.samples, run.spent.flops) == (4000, 400, 120e12)
    assert run.spent.seconds == 125.0
    assert run.noise_share == pytest.approx(0.2)
    assert run.noise_share_seen == pytest.approx(0.5)
    assert [v.scores["loss"] for v in run.validations[DIRECTION]] == [3.0, 2.0]
    assert [a.step for a in run.audits] == [10]
    assert run.config["optimizer"]["config"]["lr"] == 1e-8


def test_step_time_covers_the_last_step_too(tmp_path: Path) -> None:
    spent = read_run(write_run(tmp_path / "jest")).spent

    assert spent.step_seconds == pytest.approx(120.0)
    assert spent.selection_share == pytest.approx(2 / 3)


def test_iid_does_not_select_even_where_pairs_are_too_long(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "iid", selector="iid")

    write_lines(
        folder / "metrics" / "train.jsonl",
        [train_record(10, selects=False, total_num_selected=98, total_num_too_long=2)],
    )

    assert not read_run(folder).selects


def test_what_was_spent_is_interpolated_between_records(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "jest", {0: 9.0, 5: 8.0, 15: 4.0, 40: 3.0, 60: 2.0}))

    assert [v.spent.samples for v in run.validations[DIRECTION]] == [0, 50, 150, 400, 600]


def test_cut_off_last_line_is_left_out_and_counted(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "jest", {20: 3.0})

    with (folder / "metrics" / "train.jsonl").open("a") as stream:
        stream.write('{"Step": 50, "NLL Lo')

    run = read_run(folder)

    assert (run.steps, run.num_broken) == (40, 1)


def test_resumed_run_forgets_what_it_did_again(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"

    # The kill cut a line off, and the resumed run went on behind it, on the same line.
    write_lines(file, [{"Step": s, "part": 1} for s in (10, 20, 30)], tail='{"Step": 40, "p')

    with file.open("a") as stream:
        stream.writelines(json.dumps({"Step": s, "part": 2}) + "\n" for s in (15, 20, 25, 30))

    records = read_records(file, "Step")

    assert [(r["Step"], r["part"]) for r in records.lines] == [(10, 1), (20, 2), (25, 2), (30, 2)]
    assert records.num_broken == 1


@pytest.mark.parametrize("line", ["[]", "3", "{}", '{"Step": "10"}', "\udcff"])
def test_lines_that_are_no_records_are_counted(line: str, tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"

    file.write_bytes(f'{line}\n{{"Step": 10}}\n'.encode(errors="surrogateescape"))

    records = read_records(file, "Step")

    assert (len(records.lines), records.num_broken) == (1, 1)


def test_figures_that_are_not_finite_are_read(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "jest")

    write_lines(folder / "metrics" / "valid" / f"{DIRECTION}.jsonl", [valid_record(20, math.nan)])

    (validation,) = read_run(folder).validations[DIRECTION]

    assert math.isnan(validation.scores["loss"])
    assert "bleu" not in validation.scores


def test_broken_audit_is_left_out(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "jest", audits=[audit(10), {"step": 20, "scores": {}}, audit(30)])

    run = read_run(folder)

    assert [a.step for a in run.audits] == [10, 30]
    assert run.num_broken == 1


def test_run_is_found_from_outside_and_inside(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "out" / "ws_1.abc")

    assert find_folder(tmp_path / "out") == folder
    assert find_folder(folder) == folder


def test_several_runs_in_one_folder_are_named(tmp_path: Path) -> None:
    for name in ("ws_1.abc", "ws_1.def"):
        write_run(tmp_path / "out" / name)

    with pytest.raises(ReportError, match=r"holds 2 runs \(ws_1.abc, ws_1.def\)"):
        find_folder(tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "no config.yaml"),
        ("a: [1", "not valid YAML"),
        ("", "is not a run of mt finetune"),
        ("model: {name: x}", "is not a run of mt finetune"),
        ("batch_selector: {name: iid}\nregime: {num_steps: 3}", "has recorded nothing yet"),
    ],
)
def test_what_is_no_run_is_one_sentence(content: str | None, sentence: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "config.yaml").write_text(content)

    with pytest.raises(ReportError, match=sentence) as info:
        read_run(find_folder(tmp_path))

    assert "\n" not in str(info.value)


def test_metrics_of_another_recipe_are_refused(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "other")

    write_lines(folder / "metrics" / "train.jsonl", [{"Step": 10, "NLL Loss": 1.0}])

    with pytest.raises(ReportError, match="it counts no pairs"):
        read_run(folder)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a/jest", "a/iid"], ["jest", "iid"]),
        (["a/jest/ws_1.abc", "a/iid"], ["jest", "iid"]),
        (["a/jest/ws_1.abc", "a/jest/ws_1.def"], ["jest/ws_1.abc", "jest/ws_1.def"]),
        (["a/one/jest", "b/one/jest", "c"], ["a/one/jest", "b/one/jest", "c"]),
    ],
)
def test_names_are_as_short_as_can_be(paths: list[str], names: list[str], tmp_path: Path) -> None:
    assert name_runs([tmp_path / path for path in paths]) == names
