"""``report.json``: the numbers of the page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fairseq2_jest import __version__
from fairseq2_jest.report.arms import Arm
from fairseq2_jest.report.audit import explain
from fairseq2_jest.report.break_even import BreakEven
from fairseq2_jest.report.collect import Report
from fairseq2_jest.report.curves import Point, Reached
from fairseq2_jest.report.measures import MEASURES
from fairseq2_jest.report.runs import Run
from fairseq2_jest.report.samples import audited_pairs
from fairseq2_jest.report.spent import COSTS, Spent
from fairseq2_jest.report.summary import best_score, final_score
from fairseq2_jest.report.targets import ArmReaching, Target


def to_json(report: Report) -> str:
    """The numbers as strict JSON: what is not finite is ``null``.

    Durations are in seconds, FLOPs are plain counts, losses in nats per token, shares between 0 and
    1; scores are averaged over ``directions``.
    """
    values = {
        "fairseq2_jest": __version__,
        "notes": list(report.notes),
        "directions": list(report.directions),
        "baseline": report.baseline.name,
        "runs": [_run(run, arm, report) for arm in report.arms for run in arm.runs],
        "arms": [_arm(arm, report) for arm in report.arms],
        "targets": [_target(target) for target in report.targets],
        "break_even": [_break_even(found) for found in report.break_evens],
        "config_differences": {
            difference.key: {
                arm.name: value for arm, value in zip(report.arms, difference.values, strict=True)
            }
            for difference in report.differences
        },
    }

    return json.dumps(_strict(values), ensure_ascii=False, indent=1, allow_nan=False)


def _run(run: Run, arm: Arm, report: Report) -> dict[str, Any]:
    directions = report.directions

    return {
        "name": run.name,
        "folder": str(run.folder),
        "arm": arm.name,
        "selector": run.selector,
        "seed": run.seed,
        "steps": run.steps,
        "num_steps": run.num_steps,
        "spent": _spent(run.spent),
        "selection_share": run.spent.selection_share,
        "noise_share": run.noise_share,
        "noise_share_seen": run.noise_share_seen,
        "final": {m.key: final_score(run, m, directions) for m in MEASURES},
        "best": {m.key: best_score(run, m, directions) for m in MEASURES},
        "validations": {
            direction: [{"step": v.step, **v.scores, "spent": _spent(v.spent)} for v in validations]
            for direction, validations in run.validations.items()
        },
        "training": [
            {"step": p.step, "loss": p.loss, **p.series, "spent": _spent(p.spent)}
            for p in run.training
        ],
        "score_quantiles": [
            {"step": audit.step, **{view: asdict(q) for view, q in audit.scores.items()}}
            for audit in run.audits
        ],
        "audit": [
            {"step": audit.step, "pairs": [{**asdict(p), "why": explain(p, audit)} for p in pairs]}
            for audit, pairs in audited_pairs(run)
        ],
    }


def _arm(arm: Arm, report: Report) -> dict[str, Any]:
    return {
        "name": arm.name,
        "runs": [run.name for run in arm.runs],
        "quality": {
            m.key: [_point(point) for point in arm.quality(m, report.directions)]
            for m in (MEASURES if report.directions else ())
        },
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "step": point.step,
        "mean": point.value,
        "low": point.low,
        "high": point.high,
        "spent": _spent(point.spent),
    }


def _target(target: Target) -> dict[str, Any]:
    return {
        "measure": target.measure.key,
        "value": target.value,
        "given": target.given,
        "arms": [_reaching(target, reaching) for reaching in target.arms],
    }


def _reaching(target: Target, reaching: ArmReaching) -> dict[str, Any]:
    return {
        "arm": reaching.arm.name,
        "reached": _reached(reaching.reached),
        "ratio": {cost.key: target.ratio(reaching, cost) for cost in COSTS},
        "runs": {
            run.name: _reached(reached)
            for run, reached in zip(reaching.arm.runs, reaching.runs, strict=True)
        },
    }


def _reached(reached: Reached | None) -> dict[str, Any] | None:
    if reached is None:
        return None

    return {"at_most": reached.at_most, "spent": _spent(reached.spent)}


def _break_even(found: BreakEven) -> dict[str, Any]:
    return {
        "arm": found.arm.name,
        "measure": found.measure.key,
        "cost": found.cost.key,
        "outcome": found.outcome,
        "samples": found.samples,
        "amount": found.amount,
        "compared": found.compared,
    }


def _spent(spent: Spent) -> dict[str, float]:
    return {**asdict(spent), "flops": spent.flops}


def _strict(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None

    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}

    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_strict(item) for item in value]

    return value
