"""The parts of the page that are tables and words."""

from __future__ import annotations

from collections.abc import Sequence

from fairseq2_jest.report.audit import Audit, AuditedPair, explain
from fairseq2_jest.report.break_even import BreakEven
from fairseq2_jest.report.collect import Report
from fairseq2_jest.report.curves import Reached
from fairseq2_jest.report.html import Column, bullets, folded, paragraph, table
from fairseq2_jest.report.samples import audited_pairs
from fairseq2_jest.report.spent import COSTS, SAMPLES, SECONDS, Cost
from fairseq2_jest.report.summary import SUMMARY, direction_rows, summary_rows
from fairseq2_jest.report.targets import ArmReaching, Target
from fairseq2_jest.report.units import MISSING, format_number, format_optional, format_range
from fairseq2_jest.report.views import VIEWS


def summary_part(report: Report) -> list[str]:
    """Notes, the table of runs, and the directions where there are several."""
    rows, sums = summary_rows(report)

    judged = ", ".join(report.directions)

    caption = (
        "The runs at their last record. Time is wall-clock, with start-up and validation; "
        "selecting is a share of the time in training steps."
    )

    if judged:
        caption += f" Loss, BLEU, chrF++ and COMET are of the last validation, in {judged}."

    parts = [table(caption, SUMMARY, rows, emphasized=sums)]

    if report.notes:
        parts.insert(0, f'<div class="notes">{bullets(report.notes)}</div>')

    directions = sorted({d for run in report.runs for d in run.validations})

    if len(directions) > 1:
        columns = [
            Column(title="run", kind="word"),
            Column(title="direction", kind="word"),
            Column(title="validation loss"),
            Column(title="BLEU"),
            Column(title="chrF++"),
            Column(title="COMET"),
        ]

        parts.append(table("The last validation by direction.", columns, direction_rows(report)))

    return parts


def targets_part(report: Report) -> list[str]:
    """A table for each target."""
    if not report.targets:
        return []

    name = report.baseline.name

    parts = [
        paragraph(
            "Between two validations, figures are taken to change in a straight line. × compares "
            f"to {name}: 0.50 × is half of what it needed. An arm that was there at its first "
            "validation needed at most (≤) what it had spent by then."
        )
    ]

    columns = [Column(title="arm", kind="word")]

    for cost in COSTS:
        columns += [Column(title=cost.name), Column(title=f"× {name}")]

    if any(len(arm.runs) > 1 for arm in report.arms):
        columns.append(Column(title="its seeds", kind="text"))

    for target in report.targets:
        rows = [
            _target_row(target, reaching, seeds=columns[-1].title == "its seeds")
            for reaching in target.arms
        ]

        origin = "as asked for" if target.given else f"what {name} ended with"

        caption = f"To reach {target.measure.name} {target.measure.format(target.value)}, {origin}."

        parts.append(table(caption, columns, rows))

    return parts


def _target_row(target: Target, reaching: ArmReaching, *, seeds: bool) -> list[str]:
    row = [reaching.arm.name]

    for cost in COSTS:
        row += [_amount(reaching.reached, cost), _ratio(target, reaching, cost)]

    if seeds:
        row.append(_seeds(reaching))

    return row


def _amount(reached: Reached | None, cost: Cost) -> str:
    if reached is None:
        return "never"

    return f"{'≤ ' if reached.at_most else ''}{cost.format(cost.of(reached.spent))}"


def _ratio(target: Target, reaching: ArmReaching, cost: Cost) -> str:
    ratio = target.ratio(reaching, cost)

    if ratio is None or reaching.reached is None or target.baseline.reached is None:
        return MISSING

    # An upper bound over a known cost is an upper bound; over an upper bound it is nothing.
    bounds = (reaching.reached.at_most, target.baseline.reached.at_most)

    sign = {(True, False): "≤ ", (False, True): "≥ "}.get(bounds, "")

    return (
        MISSING
        if all(bounds) and reaching.arm is not target.baseline.arm
        else (f"{sign}{format_number(ratio, 2)} ×")
    )


def _seeds(reaching: ArmReaching) -> str:
    if len(reaching.runs) == 1:
        return MISSING

    there = [SAMPLES.of(reached.spent) for reached in reaching.runs if reached is not None]

    text = f"{len(there)} of {len(reaching.runs)} reached it"

    return f"{text}, with {format_range(there, SAMPLES.format)} pairs" if there else text


def break_even_part(report: Report) -> list[str]:
    """The table of break-evens; empty where nothing selects."""
    if not report.break_evens:
        return []

    columns = [
        Column(title="arm", kind="word"),
        Column(title="by", kind="word"),
        Column(title="at equal", kind="word"),
        Column(title="pairs trained on"),
        Column(title="what that says", kind="text"),
    ]

    rows = [
        [
            found.arm.name,
            found.measure.name,
            "time" if found.cost is SECONDS else "FLOPs",
            format_optional(found.samples, SAMPLES.format),
            _verdict(found, report.baseline.name),
        ]
        for found in report.break_evens
    ]

    caption = (
        f"From how many pairs on an arm that selects is at least as good as "
        f"{report.baseline.name} at equal cost, the cost of selecting included."
    )

    return [table(caption, columns, rows)]


def _verdict(found: BreakEven, baseline: str) -> str:
    form = found.cost.format

    if found.compared is None or found.outcome == "no overlap":
        return f"open: it and {baseline} were not validated at any common cost"

    low, high = (form(amount) for amount in found.compared)

    if found.outcome == "not paid":
        return f"it has not paid for itself by {high}, the last that both were validated at"

    if found.outcome == "from the start":
        return f"it paid for itself by {low}, the first that both were validated at, or before"

    assert found.amount is not None

    return f"it has paid for itself from {form(found.amount)} on, compared up to {high}"


def audit_part(report: Report) -> list[str]:
    """What was chosen and passed over, run by run; empty where no run has an audit."""
    parts: list[str] = []

    # What iid chose has no reason but chance.
    for run in sorted(report.runs, key=lambda run: not run.selects):
        tables = [_audit_table(audit, pairs) for audit, pairs in audited_pairs(run)]

        if tables:
            title = f"{run.name}: {len(tables)} of {len(run.audits)} audited steps"

            parts.append(folded(title, tables, is_open=not parts))

    if not parts:
        return []

    text = (
        "Some pairs of a super-batch, the most learnable first. “Why” says where a pair's scores "
        "stand among those of the other side: a high reference score, a low learner score, and a "
        "learner's loss above the reference model's make a pair learnable. Pairs are drawn, not "
        "ranked, and a draw weighs them with those drawn before, so that single ones may surprise."
    )

    return [paragraph(text), *parts]


def _audit_table(audit: Audit, pairs: Sequence[AuditedPair]) -> str:
    views = [view for view in VIEWS if view.key in audit.scores]

    columns = [
        Column(title="row"),
        Column(title="what", kind="word"),
        Column(title="source", kind="sentence"),
        Column(title="target", kind="sentence"),
        Column(title="label", kind="word"),
        *(Column(title=view.name) for view in views),
        Column(title="learnability"),
        Column(title="why", kind="text"),
        Column(title="direction", kind="word"),
    ]

    def score(value: float | None) -> str:
        return format_optional(value, lambda v: format_number(v, 2))

    rows = [
        [
            str(pair.row),
            "chosen" if pair.selected else "passed over",
            pair.source,
            pair.target,
            pair.label or MISSING,
            *(score(pair.scores.get(view.key)) for view in views),
            score(pair.learnability),
            explain(pair, audit),
            pair.direction,
        ]
        for pair in pairs
    ]

    caption = f"Step {audit.step:,}: {len(rows)} of {len(audit.pairs)} audited pairs."

    return table(caption, columns, rows)


def config_part(report: Report) -> list[str]:
    """Where the configs differ; empty for a single run."""
    if len(report.runs) < 2:
        return []

    if not report.differences:
        return [paragraph("They do not.")]

    columns = [Column(title="key", kind="text")]
    columns += [Column(title=arm.name, kind="text") for arm in report.arms]

    rows = [[difference.key, *difference.values] for difference in report.differences]

    return [table("Only the keys that differ.", columns, rows)]
