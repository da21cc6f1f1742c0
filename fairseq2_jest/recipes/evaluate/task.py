"""Scores systems, and tells what it found."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq2.logging import log
from sacrebleu.metrics.base import Metric
from tabulate import tabulate
from typing_extensions import override

from fairseq2_jest.evaluation.comet.scorer import CometScorer
from fairseq2_jest.evaluation.overlap import Overlap
from fairseq2_jest.evaluation.result import Evaluation
from fairseq2_jest.evaluation.significance import SignificanceConfig, score_systems
from fairseq2_jest.files import write_text
from fairseq2_jest.recipes.evaluate.inputs import Inputs
from fairseq2_jest.recipes.task import PiecewiseTask
from fairseq2_jest.report.evaluation import render_evaluation


class EvaluateTask(PiecewiseTask):
    """Computes one metric after the other; the files appear when all are there."""

    def __init__(
        self,
        inputs: Inputs,
        metrics: Sequence[Metric],
        significance: SignificanceConfig,
        overlap: Overlap | None,
        scorer: CometScorer | None,
        output_dir: Path,
    ) -> None:
        """
        :param metrics: With the references behind them.
        :param scorer: What one of them uses, to be closed.
        """
        super().__init__()

        self._inputs = inputs
        self._metrics = metrics
        self._significance = significance
        self._overlap = overlap
        self._scorer = scorer
        self._output_dir = output_dir

    @override
    def run(self) -> None:
        systems = {name: file.texts for name, file in self._inputs.systems.items()}

        scores = []

        for metric in self._metrics:
            self.stop_if_requested()

            scores.append(score_systems(metric, systems, self._significance))

            log.info("{} is computed.", scores[-1].name)

            self.count_piece()

        evaluation = Evaluation(
            direction=str(self._inputs.direction),
            systems=self._inputs.systems,
            references=self._inputs.references,
            source=self._inputs.source,
            metrics=scores,
            test=self._significance.test if len(systems) > 1 else None,
            overlap=self._overlap,
        )

        write_text(self._output_dir / "evaluate.json", evaluation.to_json() + "\n")
        write_text(self._output_dir / "evaluate.html", render_evaluation(evaluation))

        _print(evaluation)

        log.info("All of it is in {}.", self._output_dir / "evaluate.html")

    @override
    def close(self) -> None:
        if self._scorer is not None:
            self._scorer.close()


def _print(evaluation: Evaluation) -> None:
    heads, rows = evaluation.table()

    alignment = ["left", *["right"] * (len(heads) - 1)]

    lines = [
        tabulate(rows, heads, tablefmt="simple", colalign=alignment, disable_numparse=True),
        "",
        *evaluation.signatures(),
        "",
        *evaluation.notes(),
    ]

    print("\n".join(lines), file=sys.stdout, flush=True)
