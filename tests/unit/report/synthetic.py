"""Runs as `mt finetune` writes them, made up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DIRECTION = "eng_Latn-deu_Latn"

KEPT, SEEN = 10, 100


def config(selector: str = "joint", *, seed: int = 1, num_steps: int = 40) -> dict[str, Any]:
    return {
        "batch_selector": {"name": selector, "config": {"temperature": "auto"}},
        "optimizer": {"config": {"lr": 1e-08}},
        "regime": {"num_steps": num_steps},
        "common": {"seed": seed, "metric_recorders": {"wandb": {"run_name": f"seed {seed}"}}},
    }


def train_record(step: int, *, selects: bool = True, **values: object) -> dict[str, object]:
    """At a second and 1 TFLOP a step for training, and twice as much again for selecting."""
    factor = 3 if selects else 1

    record = {
        "Step": step,
        "NLL Loss": 5.0 - step / 20,
        "Total Time": 5.0 + step * factor,
        "Wall Time": 1.0,
        "total_num_seen": float(step * (SEEN if selects else KEPT)),
        "total_num_selected": float(step * KEPT),
        "total_num_too_long": 0.0,
        "total_num_noise_seen": step * (SEEN if selects else KEPT) * 0.5,
        "total_num_noise_selected": step * KEPT * (0.2 if selects else 0.5),
        "noise_share_selected": 0.2 if selects else 0.5,
        "total_training_flops": step * 1e12,
        "total_selection_flops": step * 2e12 if selects else 0.0,
        "total_selection_time": step * 2.0 if selects else 0.0,
        "total_step_time": (step - 1.0) * factor,
    }

    if selects:
        record |= {
            "redundancy": 0.1,
            "reference_score_selected": 0.7,
            "reference_score_passed_over": 0.4,
        }

    return {**record, **values}


def valid_record(step: int, loss: float, bleu: float | None = None) -> dict[str, object]:
    record: dict[str, object] = {"Step": step, "NLL Loss": loss, "Number of Target Elements": 100.0}

    return record if bleu is None else {**record, "BLEU": bleu, "chrF++": 2.0 * bleu}


def write_lines(file: Path, records: Sequence[Mapping[str, object]], tail: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)

    file.write_text("".join(json.dumps(r) + "\n" for r in records) + tail, encoding="utf-8")


def write_run(
    folder: Path,
    losses: Mapping[int, float] | None = None,
    *,
    selector: str = "joint",
    seed: int = 1,
    steps: int = 40,
    direction: str = DIRECTION,
    audits: Sequence[Mapping[str, object]] = (),
) -> Path:
    """A run with a record every ten steps; BLEU is 50 less ten times the loss."""
    folder.mkdir(parents=True, exist_ok=True)

    # JSON is YAML.
    (folder / "config.yaml").write_text(json.dumps(config(selector, seed=seed)), encoding="utf-8")

    selects = selector != "iid"

    write_lines(
        folder / "metrics" / "train.jsonl",
        [train_record(step, selects=selects) for step in range(10, steps + 1, 10)],
    )

    if losses:
        write_lines(
            folder / "metrics" / "valid" / f"{direction}.jsonl",
            [valid_record(step, loss, 50.0 - 10.0 * loss) for step, loss in losses.items()],
        )

    if audits:
        write_lines(folder / "selection_audit.jsonl", audits)

    return folder


def audit(step: int, source: str = "a source", target: str = "a target") -> dict[str, object]:
    def pair(selected: bool) -> dict[str, object]:
        return {
            "row": 7 if selected else 8,
            "source": source,
            "target": target,
            "direction": DIRECTION,
            "label": None if selected else "misaligned",
            "selected": selected,
            "reference": 0.9 if selected else 0.05,
            "learner": None,
            "learnability": 0.6 if selected else 0.1,
        }

    return {
        "step": step,
        "scores": {
            "reference": {
                "selected": [0.5 + i / 20 for i in range(11)],
                "passed_over": [i / 10 for i in range(11)],
            }
        },
        "pairs": [pair(True), pair(False)],
    }
