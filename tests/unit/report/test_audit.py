"""What the audit of a step says of losses, and where a pair stands among the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairseq2_jest.report.audit import explain, read_audits
from fairseq2_jest.report.parts import _audit_table


def tenths(start: float) -> list[float]:
    return [start + i / 10 for i in range(11)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    pair = {"row": 3, "source": "a", "target": "b", "direction": "x-y", "label": None}

    record = {
        "step": 50,
        "scores": {
            "learner_loss": {"selected": tenths(0.5), "passed_over": tenths(0.0)},
            "reference_loss": {"selected": tenths(0.0), "passed_over": tenths(1.0)},
        },
        "pairs": [
            {**pair, "selected": True, "learner_loss": 0.75, "reference_loss": 0.5},
            {**pair, "selected": False, "learner_loss": 0.75, "reference_loss": None},
        ],
    }

    file = tmp_path / "selection_audit.jsonl"
    file.write_text(json.dumps(record) + "\n", encoding="utf-8")

    return file


def test_a_loss_is_placed_among_those_of_the_other_side(file: Path) -> None:
    (audit,), num_broken = read_audits(file)

    assert num_broken == 0

    chosen, passed_over = audit.pairs

    assert explain(chosen, audit) == (
        "above 75 % (learner loss) and 0 % (reference model's loss) of those passed over"
    )
    assert explain(passed_over, audit) == "above 25 % (learner loss) of the chosen"


def test_the_table_has_a_column_for_each_view_of_the_step(file: Path) -> None:
    (audit,), _ = read_audits(file)

    html = _audit_table(audit, audit.pairs)

    assert "learner loss" in html and "reference model&#x27;s loss" in html
    assert "reference score" not in html and "learner score" not in html
    assert html.count("0.75") == 2
