"""The page: one HTML file that needs no network, no script and no other file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fairseq2_jest.report.charts import (
    MAX_DIRECTIONS,
    Chart,
    direction_charts,
    quality_charts,
    score_charts,
    selection_charts,
    training_charts,
)
from fairseq2_jest.report.collect import Report
from fairseq2_jest.report.drawing import draw
from fairseq2_jest.report.html import Section, figure, figures, folded, page, paragraph
from fairseq2_jest.report.parts import (
    audit_part,
    break_even_part,
    config_part,
    summary_part,
    targets_part,
)


def render(report: Report, out: Path) -> str:
    """The page; the figures are also written to ``out``, as PNG."""

    def drawn(charts: Sequence[Chart]) -> list[str]:
        if not charts:
            return []

        parts = [
            figure(svg, chart.caption, chart.name)
            for chart, svg in zip(charts, draw(charts, out), strict=True)
        ]

        return [figures(parts)]

    sections: list[Section] = [
        ("summary", "Runs", summary_part(report)),
        ("quality", "Quality against samples, FLOPs and time", _quality(report, drawn)),
        ("targets", "What it takes to be as good as the baseline", targets_part(report)),
        ("break-even", "When selecting has paid for itself", break_even_part(report)),
        ("training", "Training loss", drawn(training_charts(report))),
        ("selection", "How the selection went", _selection(report, drawn)),
        ("audit", "What was chosen and passed over", audit_part(report)),
        ("config", "Where the configs differ", config_part(report)),
    ]

    return page(
        _title(report),
        _subtitle(report),
        sections,
        "The numbers are in report.json beside this page, the figures in PNG files.",
    )


def _title(report: Report) -> str:
    names = [arm.name for arm in report.arms]

    if len(names) > 4:
        return f"Fine-tuning: {len(report.runs)} runs of {len(names)} arms"

    return f"Fine-tuning: {', '.join(names)}"


def _subtitle(report: Report) -> str:
    num_runs, num_arms = len(report.runs), len(report.arms)

    parts = [f"{num_runs} {'run' if num_runs == 1 else 'runs'}"]

    if num_arms < num_runs:
        parts.append(
            f"{num_arms} {'arm' if num_arms == 1 else 'arms'}: runs of one arm differ only in "
            "their seeds, and are drawn as their mean, as far as all of them got, with their "
            "range shaded"
        )

    parts.append(f"the baseline is {report.baseline.name}")

    if len(report.directions) == 1:
        parts.append(f"validated in {report.directions[0]}")
    elif report.directions:
        parts.append(f"figures are means over {len(report.directions)} directions")

    return f"{'; '.join(parts)}."


def _quality(report: Report, drawn: Callable[[Sequence[Chart]], list[str]]) -> list[str]:
    parts = drawn(quality_charts(report))

    if single := direction_charts(report):
        title = "Each direction"

        if len(report.directions) > MAX_DIRECTIONS:
            title += f" (the first {MAX_DIRECTIONS} of {len(report.directions)})"

        parts.append(folded(title, drawn(single)))

    return parts


def _selection(report: Report, drawn: Callable[[Sequence[Chart]], list[str]]) -> list[str]:
    scores, others = score_charts(report), selection_charts(report)

    parts = []

    if scores:
        parts.append(
            paragraph(
                "Scores are cosines between the two sides of a pair: to the reference, which is "
                "frozen, and to the learner, the model in training. Learnability is high where the "
                "reference sees a match that the learner does not see yet. Losses are means over "
                "the target's tokens: the learner's, and that of a frozen model that learned from "
                "trusted pairs. What the learner loses beyond it can be learned."
            )
        )

    return [*parts, *drawn(scores), *drawn(others)]
