"""What an arm came to, and how it is judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import DIRECTION
from benchmarks.arms import Arm, run_folder, run_program
from benchmarks.back_translation.setting import BEAM, TRANSLATION, Setting
from benchmarks.bitext import TARGET
from fairseq2_jest.evaluation.metrics import MetricsConfig, create_metrics
from fairseq2_jest.files import write_json
from fairseq2_jest.report.records import read_records


@dataclass(frozen=True, kw_only=True)
class Judged:
    """An arm, judged."""

    name: str
    """How the arm is called in tables."""

    seed: int

    loss: float
    """Of the captions, per token."""

    best_loss: float
    """The lowest of its validations."""

    scores: dict[str, dict[str, float]]
    """By test set and metric, as sacrebleu calls it."""

    synthetic_share: float
    """Share of synthetic pairs among those trained on."""

    samples: int
    """Pairs trained on."""

    seconds: float
    """Wall-clock time of the training, validation included."""

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)

        write_json(file, asdict(self))

    @staticmethod
    def load(file: Path) -> Judged:
        return Judged(**json.loads(file.read_text(encoding="utf-8")))


def hypotheses(setting: Setting, key: str, test: str) -> Path:
    """The file of the translations of a test set by the run ``key``."""
    return setting.out / "translations" / key / f"{test}.txt"


def score(setting: Setting, arm: Arm) -> dict[str, dict[str, float]]:
    """Translates the test sets by `mt translate` with the run of ``arm``, and scores them
    as `mt evaluate` does."""
    out = setting.out / "translations" / arm.key

    run_program(
        [
            *("translate", out, "--config", f"direction={DIRECTION}"),
            *(f"input.path={setting.out / 'sources.txt'}", *TRANSLATION, *BEAM),
            *(f"run.path={run_folder(setting.out, arm)}", "run.checkpoint=last"),
        ],
        setting.out / "translations" / f"{arm.key}.log",
        f"Translating with {arm.key}",
    )

    translations = iter((out / "translations.txt").read_text(encoding="utf-8").split("\n"))

    scores = {}

    for test, pairs in setting.text.tests.items():
        texts = [next(translations) for _ in pairs]

        hypotheses(setting, arm.key, test).write_text(
            "".join(f"{text}\n" for text in texts), encoding="utf-8"
        )

        scores[test] = corpus_scores(texts, [target for _, target in pairs])

    return scores


def corpus_scores(texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """BLEU and chrF++."""
    metrics = create_metrics(MetricsConfig(ter=False), TARGET, [references], "metrics")

    found = [metric.corpus_score(texts, None) for metric in metrics]

    return {result.name: round(float(result.score), 2) for result in found}


def synthetic_share(run: Path) -> float:
    """Share of synthetic pairs among those that a run trained on."""
    last = read_records(run / "metrics" / "train.jsonl", "Step").lines[-1]

    return float(last.get("total_num_synthetic_selected", 0)) / float(last["total_num_selected"])
