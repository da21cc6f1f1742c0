"""The tables of what is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Final

from benchmarks import DIRECTION
from benchmarks.arms import run_program, spread
from benchmarks.back_translation.arms import ARMS, LEADING, UNTUNED
from benchmarks.back_translation.result import Judged, hypotheses
from benchmarks.back_translation.setting import Setting
from benchmarks.back_translation.synthesis import SYNTHESES, counts_file
from benchmarks.efficiency import slug
from benchmarks.markdown import markdown_table
from fairseq2_jest.files import write_json

METRICS = ("BLEU", "chrF2++")

CLAIMED: Final[Mapping[str, tuple[str, str]]] = {
    UNTUNED: ("0.460", ""),
    "synthetic only": ("0.468", ""),
    "genuine only": ("0.589", "1.97"),
    "both, 1:1": ("0.597", "1.41"),
}
"""COMET and BLEU of arXiv 2511.12109: Mistral 7B, English to Japanese, LoRA of an unnamed rank,
1,500 genuine pairs, an unnamed number of synthetic ones."""


def tell(results: Path, steps: int) -> None:
    """Prints and stores the tables of all results of so many steps."""
    judged = [Judged.load(results / "untuned.json")]

    judged += [Judged.load(file) for file in sorted(results.glob(f"*-{steps}-*.json"))]

    parts = [arms_table(judged), claims_table(judged)]

    for file in sorted(results.glob(f"significance-*-{steps}.json")):
        parts.append(significance_table(json.loads(file.read_text(encoding="utf-8"))))

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


def claims_table(judged: Sequence[Judged]) -> str:
    """What the paper says of its arms, beside what is seen in those like them here."""
    columns = ["arm", "COMET, arXiv 2511.12109", "BLEU, there", "BLEU, here", "chrF2++, here"]
    columns += ["with LoRA, BLEU", "chrF2++"]

    rows = []

    for name, claimed in CLAIMED.items():
        cells = []

        for arm in (name, f"{name}, LoRA rank 16"):
            found = [run.scores["captions"] for run in judged if run.name == arm]

            cells += [spread([scores[metric] for scores in found], ".1f") for metric in METRICS]

        rows.append([name, *claimed, *cells])

    return markdown_table(columns, rows)


def significance_table(found: Mapping[str, Any]) -> str:
    """What `mt evaluate` says of the differences to the first arm."""
    columns = [f"{found['test']}, first seed", *(metric["name"] for metric in found["metrics"])]

    rows = []

    for name in found["metrics"][0]["systems"]:
        row = [name]

        for metric in found["metrics"]:
            score = metric["systems"][name]

            text = f"{score['score']:.1f}"

            if score["p_value"] is not None:
                text += f" (p = {score['p_value']:.3f})"

            row.append(text)

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

    write_json(results / "synthesis.json", found)


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

        # Which files were compared says nothing elsewhere.
        kept = {"test": test, "metrics": found["metrics"]}

        write_json(results / f"significance-{test}-{steps}.json", kept)
