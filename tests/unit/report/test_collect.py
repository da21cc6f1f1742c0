from __future__ import annotations

import math
from pathlib import Path

import pytest

from fairseq2_jest.report.collect import Report, collect
from fairseq2_jest.report.errors import ReportError
from fairseq2_jest.report.spent import FLOPS, SAMPLES, SECONDS
from tests.unit.report.synthetic import DIRECTION, valid_record, write_lines, write_run

IID = {10: 4.0, 20: 3.5, 30: 3.2, 40: 3.0}
JEST = {10: 3.5, 20: 3.0, 30: 2.5, 40: 2.0}


@pytest.fixture
def both(tmp_path: Path) -> list[Path]:
    return [
        write_run(tmp_path / "jest", JEST),
        write_run(tmp_path / "iid", IID, selector="iid"),
    ]


def test_first_iid_run_is_the_baseline(both: list[Path]) -> None:
    assert collect(both).baseline.name == "iid"
    assert collect(both, baseline=both[0]).baseline.name == "jest"
    assert collect(both[:1]).baseline.name == "jest"


def test_baseline_must_be_among_the_runs(both: list[Path]) -> None:
    with pytest.raises(ReportError, match=r"not among the runs \(jest\)"):
        collect(both[:1], baseline=both[1])


def test_targets_are_what_the_baseline_ends_with(both: list[Path]) -> None:
    loss, bleu, chrf = collect(both).targets

    assert (loss.value, bleu.value, chrf.value) == (3.0, 20.0, 40.0)

    jest, iid = loss.arms

    # 200 of 400 pairs, at three times the price each.
    assert loss.ratio(jest, SAMPLES) == pytest.approx(0.5)
    assert loss.ratio(jest, FLOPS) == pytest.approx(1.5)
    assert loss.ratio(jest, SECONDS) == pytest.approx(65 / 45)
    assert loss.ratio(iid, SAMPLES) == 1.0


def test_given_targets_replace_those_of_the_baseline(both: list[Path]) -> None:
    (target,) = collect(both, targets={"loss": 2.2}).targets

    jest, iid = target.arms

    assert jest.reached is not None and jest.reached.spent.samples == pytest.approx(360)
    assert iid.reached is None
    assert target.ratio(jest, SAMPLES) is None


def test_seeds_make_an_arm(tmp_path: Path) -> None:
    report = collect(
        [
            write_run(tmp_path / "iid-1", IID, selector="iid"),
            write_run(tmp_path / "jest-1", JEST, seed=1),
            write_run(tmp_path / "jest-2", {k: v + 0.2 for k, v in JEST.items()}, seed=2),
        ]
    )

    assert [(arm.name, len(arm.runs)) for arm in report.arms] == [("iid-1", 1), ("jest", 2)]

    (reaching,) = [a for a in report.targets[0].arms if a.arm.name == "jest"]

    assert reaching.reached is not None
    assert reaching.reached.spent.samples == pytest.approx(220)
    assert [r.spent.samples for r in reaching.runs if r] == pytest.approx([200, 240])
    assert report.differences[0].key == "batch_selector.name"
    assert {d.key: d.values for d in report.differences}["common.seed"] == ["1", "1, 2"]


@pytest.mark.parametrize(
    ("names", "arm"),
    [
        (["jest-1", "jest-2"], "jest"),
        (["jest-10", "jest-11"], "jest"),
        (["jest-seed1", "jest-seed2"], "jest"),
        (["1/jest", "2/jest"], "jest"),
        (["a", "b"], "joint"),
    ],
)
def test_an_arm_goes_by_what_its_runs_have_in_common(
    names: list[str], arm: str, tmp_path: Path
) -> None:
    paths = [write_run(tmp_path / name, seed=idx) for idx, name in enumerate(names)]

    assert collect(paths).arms[0].name == arm


def outcomes(report: Report) -> dict[str, tuple[str, float]]:
    return {
        found.cost.key: (found.outcome, -1 if found.samples is None else round(found.samples))
        for found in report.break_evens
        if found.measure.key == "loss"
    }


def test_selecting_that_has_paid_for_itself(tmp_path: Path) -> None:
    # Behind at first; a step costs three times as much.
    jest = {10: 4.5, 20: 2.0, 30: 1.8, 40: 1.7}
    iid = dict.fromkeys(range(10, 130, 10), 4.0)

    report = collect(
        [
            write_run(tmp_path / "jest", jest),
            write_run(tmp_path / "iid", iid, selector="iid", steps=120),
        ]
    )

    # On the way from 4.5 at 100 pairs to 2.0 at 200.
    assert outcomes(report) == {
        "seconds": ("paid", 120),
        "flops": ("paid", 120),
    }


def test_selecting_that_has_not_paid_for_itself(both: list[Path]) -> None:
    # 3.5 with the FLOPs of 3.2, and 3.33 with those of 3.0.
    assert outcomes(collect(both))["flops"] == ("not paid", -1)


def test_selecting_that_was_never_behind(tmp_path: Path) -> None:
    report = collect(
        [
            write_run(tmp_path / "jest", {10: 2.0, 40: 1.0}),
            write_run(tmp_path / "iid", IID, selector="iid"),
        ]
    )

    assert outcomes(report)["flops"] == ("from the start", 100)


def test_costs_that_do_not_overlap_are_not_compared(tmp_path: Path) -> None:
    report = collect(
        [
            write_run(tmp_path / "jest", {40: 1.0}),
            write_run(tmp_path / "iid", {10: 2.0}, selector="iid"),
        ]
    )

    assert outcomes(report)["flops"] == ("no overlap", -1)


def test_directions_are_averaged(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "jest", JEST)

    write_lines(
        folder / "metrics" / "valid" / "eng_Latn-fra_Latn.jsonl",
        [valid_record(step, loss + 1.0) for step, loss in JEST.items()],
    )

    report = collect([folder])

    assert report.directions == [DIRECTION, "eng_Latn-fra_Latn"]
    assert report.targets[0].value == 2.5


def test_only_shared_directions_are_compared(tmp_path: Path) -> None:
    both = write_run(tmp_path / "both", JEST)

    write_run(both, JEST, direction="eng_Latn-fra_Latn")

    report = collect([both, write_run(tmp_path / "one", IID, selector="iid")])

    assert report.directions == [DIRECTION]
    assert any("eng_Latn-fra_Latn" in note for note in report.notes)


def test_runs_without_validation_are_reported(tmp_path: Path) -> None:
    report = collect([write_run(tmp_path / "jest"), write_run(tmp_path / "iid", selector="iid")])

    assert not (report.directions or report.targets or report.break_evens)
    assert any("no quality" in note for note in report.notes)


def test_diverged_run_is_noted_and_never_reaches(tmp_path: Path) -> None:
    diverged = {10: 3.5, 20: math.nan, 30: math.nan}

    report = collect(
        [write_run(tmp_path / "jest", diverged), write_run(tmp_path / "iid", IID, selector="iid")]
    )

    assert any("jest has figures that are no finite number" in note for note in report.notes)
    assert report.targets[0].arms[0].reached is None


def test_unfinished_run_is_noted(tmp_path: Path) -> None:
    report = collect([write_run(tmp_path / "jest", steps=30)])

    assert any("30 of 40 steps" in note for note in report.notes)


def test_different_validation_sets_are_noted(both: list[Path]) -> None:
    file = both[0] / "metrics" / "valid" / f"{DIRECTION}.jsonl"

    file.write_text(file.read_text().replace("100.0", "90.0"))

    assert any("do not compare" in note for note in collect(both).notes)


def test_what_is_no_run_is_left_out_with_a_note(both: list[Path], tmp_path: Path) -> None:
    log = tmp_path / "jest.log"

    log.write_text("")

    report = collect([log, *both, both[0]])

    assert len(report.runs) == 2
    assert report.notes[0] == f"Left out: {log} is a file, not a run."


def test_nothing_to_report_on_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match=r"no run to report on. .* has no config.yaml"):
        collect([tmp_path])
