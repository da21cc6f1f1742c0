"""What is drawn, as data: the drawing itself is in :mod:`fairseq2_jest.report.drawing`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fairseq2_jest.report.arms import Arm
from fairseq2_jest.report.audit import NUM_QUANTILES
from fairseq2_jest.report.collect import Report
from fairseq2_jest.report.curves import Point, average, series_curve, training_curve
from fairseq2_jest.report.measures import MEASURES, Measure
from fairseq2_jest.report.runs import Run
from fairseq2_jest.report.spent import COSTS, SAMPLES, Cost, spent_between
from fairseq2_jest.report.units import format_number, format_share
from fairseq2_jest.report.views import VIEWS, View

MAX_DIRECTIONS: Final = 8
"""The directions that are drawn one by one; all of them are in the tables and ``report.json``."""

NUM_LOOKS: Final = 7
"""The number of ways in which lines of arms look."""

CHOSEN, PASSED_OVER = NUM_LOOKS, NUM_LOOKS + 1
"""The looks of what was chosen and passed over."""

MAX_SELECTING: Final = 6
"""The arms whose scores are drawn."""


@dataclass(frozen=True, kw_only=True)
class Band:
    """An area between two curves."""

    low: Sequence[float]
    """Its lower edge."""

    high: Sequence[float]
    """Its upper edge."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A curve."""

    label: str
    """Its name in the legend."""

    look: int
    """Which colour, marker and dash it has: those of one arm are the same everywhere."""

    x: Sequence[float]
    """Where its points are."""

    y: Sequence[float]
    """How high they are; not finite where the line is interrupted."""

    bands: Sequence[Band] = ()
    """Areas around it, at the same places; the inner ones last."""


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure with one pair of axes."""

    name: str
    """Its file without the ending; also its anchor."""

    caption: str
    """What it shows, in a sentence or less."""

    x_label: str
    """What runs to the right."""

    y_label: str
    """What runs up."""

    x_unit: float
    """What the numbers at the axis count in, as a multiple of what the lines do."""

    format_x: Callable[[float], str]
    """Writes a place of the lines for the description."""

    lines: Sequence[Line]
    """What is drawn, at least one."""

    format_y: Callable[[float], str]
    """Writes a number for the description."""

    from_zero: bool = True
    """Whether what runs to the right begins at zero."""

    @property
    def description(self) -> str:
        """The figure in words, for who cannot see it."""
        parts = []

        for line in self.lines:
            start, end = self.format_y(line.y[0]), self.format_y(line.y[-1])

            if len(line.y) == 1:
                parts.append(f"{line.label}: {start} at {self.format_x(line.x[0])}")
            else:
                parts.append(
                    f"{line.label}: from {start} at {self.format_x(line.x[0])} to {end} "
                    f"at {self.format_x(line.x[-1])}"
                )

        return f"{self.y_label} against {self.x_label}. {'; '.join(parts)}."


def quality_charts(report: Report) -> list[Chart]:
    """Every measure against every cost, all arms in the same axes."""
    charts = []

    for measure in MEASURES:
        for cost in COSTS:
            if report.directions:
                charts += _quality_chart(report, measure, cost, report.directions)

    return charts


def direction_charts(report: Report) -> list[Chart]:
    """Every measure of each direction against the pairs trained on; none for a single direction."""
    if len(report.directions) < 2:
        return []

    return [
        chart
        for direction in report.directions[:MAX_DIRECTIONS]
        for measure in MEASURES
        for chart in _quality_chart(report, measure, SAMPLES, [direction])
    ]


def _quality_chart(
    report: Report, measure: Measure, cost: Cost, directions: Sequence[str]
) -> list[Chart]:
    lines = [
        _line(arm.name, look, arm.quality(measure, directions), cost)
        for arm, look in _with_looks(report.arms)
    ]

    name, caption = f"{measure.key}-{cost.key}", f"{measure.name} against {cost.name}"

    if directions != report.directions:
        name, caption = f"{name}-{directions[0]}", f"{directions[0]}: {caption}"

    return _chart(name, caption, cost, measure.label, measure.format, lines)


def training_charts(report: Report) -> list[Chart]:
    """The training loss."""
    lines = [
        _line(arm.name, look, average([training_curve(run) for run in arm.runs]), SAMPLES)
        for arm, look in _with_looks(report.arms)
    ]

    return _chart(
        "training-loss",
        "Training loss, on what each arm chose to train on and with label smoothing: "
        "it does not compare between arms",
        SAMPLES,
        "training loss (nats per token)",
        lambda value: format_number(value, 3),
        lines,
    )


def score_charts(report: Report) -> list[Chart]:
    """The scores of what was chosen and passed over, for the first run of each selecting arm."""
    charts = []

    selecting = [arm.runs[0] for arm in report.arms if arm.runs[0].selects][:MAX_SELECTING]

    slugs = _slugs([run.name for run in selecting])

    for view in VIEWS:
        for run, slug in zip(selecting, slugs, strict=True):
            lines = [
                _score_line(run, view, "selected", "chosen", CHOSEN),
                _score_line(run, view, "passed_over", "passed over", PASSED_OVER),
            ]

            banded = any(line.bands for line in lines)

            caption = f"{run.name}: {view.name}, " + (
                "median, middle 40 % and middle 80 %" if banded else "mean"
            )

            charts += _chart(
                f"{_slug(view.name)}-{slug}",
                caption,
                SAMPLES,
                f"{view.name} ({view.unit})",
                lambda value: format_number(value, 2),
                lines,
            )

    return charts


def _score_line(run: Run, view: View, group: str, label: str, look: int) -> Line:
    """Quantiles where the run has audits, else the means of its training records."""
    audited = [
        (_samples_by(run, audit.step), quantiles)
        for audit in run.audits
        if view.key in audit.scores and (quantiles := getattr(audit.scores[view.key], group))
    ]

    if not audited:
        return _line(label, look, series_curve(run, f"{view.metric}_{group}"), SAMPLES)

    def quantile(index: int) -> list[float]:
        return [quantiles[index] for _, quantiles in audited]

    middle = NUM_QUANTILES // 2

    return Line(
        label=label,
        look=look,
        x=[samples for samples, _ in audited],
        y=quantile(middle),
        bands=[
            Band(low=quantile(middle - width), high=quantile(middle + width)) for width in (4, 2)
        ],
    )


def _samples_by(run: Run, step: int) -> float:
    before = None

    for point in run.training:
        if step <= point.step:
            start = 0 if before is None else before.step

            weight = (step - start) / (point.step - start)

            if before is None:
                return SAMPLES.of(point.spent) * weight

            return SAMPLES.of(spent_between(before.spent, point.spent, weight))

        before = point

    return SAMPLES.of(run.spent) * step / run.steps


def selection_charts(report: Report) -> list[Chart]:
    """Redundancy, effective support, temperature and noise over time."""

    def two_digits(value: float) -> str:
        return f"{value:.2g}"

    wanted = (
        ("redundancy", "Redundancy: the mean cosine between chosen pairs", "mean cosine"),
        ("selection_support", "Effective support: how many candidates share the draw", "pairs"),
        ("selection_temperature", "Temperature of the draw", "temperature"),
        ("noise_share_selected", "Noise in what was trained on", "share of pairs"),
    )

    charts = []

    for series, caption, unit in wanted:
        lines = [
            _line(arm.name, look, average([series_curve(run, series) for run in arm.runs]), SAMPLES)
            for arm, look in _with_looks(report.arms)
        ]

        form = format_share if series == "noise_share_selected" else two_digits

        charts += _chart(series.replace("_", "-"), caption, SAMPLES, unit, form, lines)

    return charts


def _with_looks(arms: Sequence[Arm]) -> list[tuple[Arm, int]]:
    return [(arm, index % NUM_LOOKS) for index, arm in enumerate(arms)]


def _line(label: str, look: int, curve: Sequence[Point], cost: Cost) -> Line:
    spread = any(point.low < point.high for point in curve)

    band = Band(low=[point.low for point in curve], high=[point.high for point in curve])

    return Line(
        label=label,
        look=look,
        x=[cost.of(point.spent) for point in curve],
        y=[point.value for point in curve],
        bands=[band] if spread else [],
    )


def _chart(
    name: str,
    caption: str,
    cost: Cost,
    y_label: str,
    format_y: Callable[[float], str],
    lines: Sequence[Line],
) -> list[Chart]:
    """The chart, unless there is nothing to draw."""
    drawn = [line for line in lines if any(map(_is_finite, line.y))]

    if not drawn:
        return []

    unit, unit_name = cost.scale(max(max(line.x) for line in drawn))

    chart = Chart(
        name=name,
        caption=caption,
        x_label=f"{cost.name} ({unit_name})" if unit_name else cost.name,
        x_unit=unit,
        y_label=y_label,
        format_x=cost.format,
        format_y=format_y,
        lines=drawn,
    )

    return [chart]


def _is_finite(value: float) -> bool:
    return abs(value) < float("inf")


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def _slugs(names: Sequence[str]) -> list[str]:
    """Parts of file names, as different as ``names`` are."""
    slugs: list[str] = []

    for name in names:
        slug, number = _slug(name), 1

        while slug in slugs:
            number += 1

            slug = f"{_slug(name)}-{number}"

        slugs.append(slug)

    return slugs
