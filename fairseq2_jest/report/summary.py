"""The table of runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Final

from fairseq2_jest.report.arms import Arm
from fairseq2_jest.report.collect import Report
from fairseq2_jest.report.curves import best, quality_curve
from fairseq2_jest.report.html import Column
from fairseq2_jest.report.measures import BLEU, CHRF, COMET, LOSS, MEASURES, Measure
from fairseq2_jest.report.runs import Run
from fairseq2_jest.report.units import (
    MISSING,
    format_count,
    format_flops,
    format_optional,
    format_range,
    format_seconds,
    format_share,
)

SUMMARY: Final = (
    Column(title="run", kind="word"),
    Column(title="selector", kind="word"),
    Column(title="steps"),
    Column(title="pairs seen"),
    Column(title="pairs trained on"),
    Column(title="validation loss"),
    Column(title="best loss"),
    Column(title="BLEU"),
    Column(title="chrF++"),
    Column(title="COMET"),
    Column(title="time"),
    Column(title="time selecting"),
    Column(title="FLOPs, training"),
    Column(title="FLOPs, selecting"),
    Column(title="noise trained on"),
    Column(title="noise seen"),
)
"""The columns of the table of runs."""


def summary_rows(report: Report) -> tuple[list[list[str]], list[int]]:
    """The rows of the table of runs, and the places of those that sum up an arm of several."""
    rows, sums = [], []

    for arm in report.arms:
        rows += [
            [run.name, selector_text(run), _steps(run), *_figures([run], report.directions)]
            for run in arm.runs
        ]

        if len(arm.runs) > 1:
            sums.append(len(rows))

            rows.append(_sum_row(arm, report.directions))

    return rows, sums


def direction_rows(report: Report) -> list[list[str]]:
    """The last validation of every run in every direction."""
    rows = []

    for run in report.runs:
        for direction in run.validations:
            figures = [_finals([run], measure, [direction]) for measure in MEASURES]

            rows.append([run.name, direction, *figures])

    return rows


def selector_text(run: Run) -> str:
    """The selector and how much it keeps, such as ``joint, 100 of 1,000``."""
    if not run.selects:
        return run.selector

    steps = max(1, run.steps)

    kept, seen = run.spent.samples / steps, run.spent.seen / steps

    return f"{run.selector}, {kept:,.0f} of {seen:,.0f}"


def final_score(run: Run, measure: Measure, directions: Sequence[str]) -> float | None:
    """What the last validation measured; ``None`` where there is none."""
    curve = quality_curve(run, measure, directions) if directions else []

    return curve[-1].value if curve else None


def best_score(run: Run, measure: Measure, directions: Sequence[str]) -> float | None:
    """The best that a validation measured; ``None`` where there is none."""
    return best(quality_curve(run, measure, directions), measure) if directions else None


def _steps(run: Run) -> str:
    steps = format_count(run.steps)

    if run.num_steps is None or run.steps >= run.num_steps:
        return steps

    return f"{steps} of {format_count(run.num_steps)}"


def _sum_row(arm: Arm, directions: Sequence[str]) -> list[str]:
    return [
        f"mean of {arm.name}",
        f"{len(arm.runs)} seeds (range)",
        MISSING,
        *_figures(arm.runs, directions),
    ]


def _figures(runs: Sequence[Run], directions: Sequence[str]) -> list[str]:
    spent = [run.spent for run in runs]

    return [
        _mean([s.seen for s in spent], format_count),
        _mean([s.samples for s in spent], format_count),
        _finals(runs, LOSS, directions),
        _spread([best_score(run, LOSS, directions) for run in runs], LOSS.format),
        _finals(runs, BLEU, directions),
        _finals(runs, CHRF, directions),
        _finals(runs, COMET, directions),
        _mean([s.seconds for s in spent], format_seconds),
        _mean([s.selection_share for s in spent], format_share),
        _mean([s.training_flops for s in spent], format_flops),
        _mean([s.selection_flops for s in spent], format_flops),
        _mean([run.noise_share for run in runs], format_share),
        _mean([run.noise_share_seen for run in runs], format_share),
    ]


def _finals(runs: Sequence[Run], measure: Measure, directions: Sequence[str]) -> str:
    return _spread([final_score(run, measure, directions) for run in runs], measure.format)


def _mean(values: Sequence[float | None], form: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]

    return format_optional(fmean(known) if known else None, form)


def _spread(values: Sequence[float | None], form: Callable[[float], str]) -> str:
    known = [value for value in values if value is not None]

    mean = _mean(values, form)

    if len(known) < 2 or not all(map(math.isfinite, known)):
        return mean

    return f"{mean} ({format_range(known, form)})"
