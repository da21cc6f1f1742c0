from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.selection.log import SelectionLog


def steps_of(file: Path) -> list[tuple[int, list[int]]]:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    return [(line["step"], line["rows"]) for line in lines]


def write(file: Path, num_steps: int) -> list[tuple[int, list[int]]]:
    log = SelectionLog(file)

    steps = [(step, [7 * step, step, 3]) for step in range(1, num_steps + 1)]

    for step, rows in steps:
        log.append(step, rows)

    return steps


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "selection.jsonl"


def test_a_step_is_a_line_with_its_rows_in_the_order_they_were_chosen(file: Path) -> None:
    SelectionLog(file).append(1, [30, 2, 11])
    SelectionLog(file).append(2, [])

    assert file.read_text(encoding="utf-8") == (
        '{"step": 1, "rows": [30, 2, 11]}\n{"step": 2, "rows": []}\n'
    )


@pytest.mark.parametrize("last_step", [0, 1, 4, 9, 100])
def test_steps_that_a_resumed_run_redoes_are_dropped(file: Path, last_step: int) -> None:
    steps = write(file, 9)

    SelectionLog(file).truncate(last_step)

    assert steps_of(file) == steps[:last_step]


def test_a_line_that_a_kill_cut_off_is_dropped(file: Path) -> None:
    steps = write(file, 3)

    content = file.read_bytes()
    last_line = content.splitlines(keepends=True)[-1]

    # The last cut takes nothing but the end of the line; what is left is sound JSON.
    for cut in range(1, len(last_line)):
        file.write_bytes(content[:-cut])

        SelectionLog(file).truncate(3)

        assert steps_of(file) == steps[:2]

    log = SelectionLog(file)
    log.append(*steps[2])

    assert file.read_bytes() == content


def test_where_nothing_was_chosen_there_is_nothing_to_drop(file: Path) -> None:
    SelectionLog(file).truncate(3)

    assert not file.exists()


@given(
    rows=st.lists(st.lists(st.integers(0, 2**62), max_size=6), max_size=8),
    last_step=st.integers(0, 9),
    cut=st.integers(0, 400),
)
@settings(deadline=None, max_examples=60)
def test_a_run_killed_anywhere_and_resumed_leaves_the_log_of_one_that_was_not(
    rows: list[list[int]], last_step: int, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("log") / "selection.jsonl"

    log = SelectionLog(file)

    for step, chosen in enumerate(rows, start=1):
        log.append(step, chosen)

    if not rows:
        assert not file.exists()
        return

    undisturbed = file.read_bytes()

    file.write_bytes(undisturbed[: max(0, len(undisturbed) - cut)])

    # A checkpoint never is ahead of the log.
    num_whole = file.read_bytes().count(b"\n")
    resume_from = min(last_step, num_whole)

    resumed = SelectionLog(file)
    resumed.truncate(resume_from)

    for step, chosen in list(enumerate(rows, start=1))[resume_from:]:
        resumed.append(step, chosen)

    assert file.read_bytes() == undisturbed
