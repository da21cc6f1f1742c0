"""The tables of what is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from benchmarks import DIRECTION
from benchmarks.arms import run_program, spread
from benchmarks.back_translation.arms import ARMS, LEADING, UNTUNED
from benchmarks.back_translation.result import Judged, hypotheses
from benchmarks.back_translation.setting import Setting
from benchmarks.back_translation.synthesis import SYNTHESES, counts_file
from benchmarks.efficiency import slug
from benchmarks.markdown import markdown_table

METRICS = ("BLEU", "chrF2++")


def tell(results: Path, steps: int) -> None:
    """Prints and stores the tables of all results of so many steps."""
    judged = [Judged.load(results / "untuned.json")]

    judged += [Judged.load(file) for file in sorted(results.glob(f"*-{steps}-*.json"))]

    parts = [arms_table(judged)]

    file = results / "synthesis.json"

    if file.exists():
        parts.append(counts_table(json.loads(file.read_text(encoding="utf-8"))))

    text = "\n\n".join(parts)

    (results / f"table-{steps}.md").write_text(text + "\n", encoding="utf-8")

    print(f"\n{text}", flush=True)


def arms_table(judged: Sequence[Judged]) -> str:
    """Each arm's scores, seeds as mean and range, in the order of the arms."""
    columns = ["arm", "seeds", "loss", "lowest loss"]
    columns += [f"{metric}, {test}" for test in judged[0].scores for metric in METRICS]
    columns += ["synthetic", "time"]

    rows = []

    for name in (UNTUNED, *ARMS):
        runs = [run for run in judged if run.name == name]

        if not runs:
            continue

        row = [name, str(len(runs))]

        row += [spread([run.loss for run in runs], ".3f")]
        row += [spread([run.best_loss for run in runs], ".3f")]

        for test in runs[0].scores:
            row += [spread([run.scores[test][metric] for run in runs], ".1f") for metric in METRICS]

        row += [
            f"{fmean(run.synthetic_share for run in runs):.0%}",
            f"{fmean(run.seconds for run in runs):.0f} s",
        ]

        rows.append(row)

    return markdown_table(columns, rows)


def write_counts(setting: Setting, results: Path) -> None:
    """Stores what `mt backtranslate` counted in the ways that were gone so far."""
    files = {name: counts_file(setting, name) for name in SYNTHESES}

    found = {
        name: json.loads(file.read_text(encoding="utf-8"))
        for name, file in files.items()
        if file.exists()
    }

    (results / "synthesis.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def counts_table(counted: Mapping[str, Mapping[str, Any]]) -> str:
    """How many lines and pairs were left out in each way, and why."""
    reasons: list[str] = []

    for numbers in counted.values():
        for kind in ("rejected_lines", "rejected_pairs"):
            reasons += [r for r in _named(kind, numbers[kind]) if r not in reasons]

    columns = ["synthetic pairs", "lines", "pairs kept", *reasons]

    rows = []

    for name, numbers in counted.items():
        found = {
            **_named("rejected_lines", numbers["rejected_lines"]),
            **_named("rejected_pairs", numbers["rejected_pairs"]),
        }

        rows.append(
            [
                name,
                f"{numbers['lines']:,}",
                f"{numbers['pairs']:,}",
                *(f"{found.get(reason, 0):,}" for reason in reasons),
            ]
        )

    return markdown_table(columns, rows)


def _named(kind: str, rejected: Mapping[str, int]) -> dict[str, int]:
    when = "before" if kind == "rejected_lines" else "after"

    return {f"{when}: {reason}": count for reason, count in rejected.items()}


def compare(setting: Setting, results: Path, steps: int) -> None:
    """Has `mt evaluate` compare the leading arms of the first seed with the first of them, on each
    test set."""
    keys = {name: f"{slug(name)}-{steps}-1" for name in LEADING}

    for test in setting.text.tests:
        files = {name: hypotheses(setting, key, test) for name, key in keys.items()}

        systems = {slug(name): str(file) for name, file in files.items() if file.exists()}

        if len(systems) < 2:
            continue

        out = setting.out / "evaluated" / test

        run_program(
            [
                *("evaluate", out, "--config", f"direction={DIRECTION}", "metrics.ter=false"),
                f"systems={json.dumps(systems)}",
                f"references=[{setting.out / f'{test}.ref.txt'}]",
            ],
            setting.out / "evaluated" / f"{test}.log",
            f"Evaluating {test}",
        )

        found = json.loads((out / "evaluate.json").read_text(encoding="utf-8"))

        text = json.dumps(found["metrics"], indent=1)

        (results / f"significance-{test}-{steps}.json").write_text(text + "\n", encoding="utf-8")
