"""What arms need for the quality that another arm ends with: pairs, FLOPs and time, as ratios."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeAlias

from benchmarks.arms import ArmResult, ValidationPoint, by_name, plot, spread
from benchmarks.markdown import markdown_table
from fairseq2_jest.report.curves import first_crossing

LEADING = (
    "joint, reducible",
    "joint, learner 0",
    "iid, filtered",
    "iid, clean only",
    "iid + trusted",
    "iid",
)
"""The arms that are drawn."""

Figure: TypeAlias = Callable[[ValidationPoint], float]


def tell(folder: Path, order: Iterable[str], steps: int, title: str) -> None:
    """Prints and stores the table and the curve of all results of so many steps in a folder."""
    results = stored(folder, order, steps)

    text = efficiency_table(results)

    (folder / f"table-{steps}.md").write_text(text + "\n", encoding="utf-8")

    leading = [result for result in results if result.name in LEADING]

    plot(leading, folder / f"curve-{steps}.png", title=title)

    num_pairs = max(result.samples for result in results)

    print(f"\n{title}, {num_pairs:,} pairs\n\n{text}", flush=True)


def stored(folder: Path, order: Iterable[str], steps: int) -> list[ArmResult]:
    """All results of so many steps in a folder, in the order of their arms."""
    places = {name: place for place, name in enumerate(order)}

    results = [ArmResult.load(file) for file in sorted(folder.glob(f"*-{steps}-*.json"))]

    return sorted(results, key=lambda result: places[result.name])


def efficiency_table(results: Sequence[ArmResult]) -> str:
    """Each arm's end, and what it needed for the final quality of iid and of filter-then-iid.

    What is needed is a ratio to what that baseline spent; seeds as mean and range, where one never
    got there the mean is left out. FLOPs are those of training and selecting; "filled" adds to
    those for iid's loss the pass that each pair on the shortlist takes through the reference model
    once, but not that model's training. Time is that to iid's loss, told by the FLOPs of training
    and the share of a step that went into selecting, since clocks of runs side by side do not
    compare.
    """
    runs_of = by_name(results)

    if "iid" not in runs_of:
        raise SystemExit("The arms are compared with iid: run it, too.")

    columns = ["arm", "seeds", "loss", "BLEU", "noise", "known", "selecting"]
    columns += ["pairs to iid's loss", "pairs to its BLEU", "FLOPs to its loss"]
    columns += ["FLOPs to its BLEU", "filled", "time"]

    baselines = {"iid": runs_of["iid"]}

    if "iid, filtered" in runs_of:
        columns += ["pairs to filtered iid's loss", "pairs to that BLEU"]
        columns += ["FLOPs to that loss", "FLOPs to that BLEU"]
        baselines["filtered"] = runs_of["iid, filtered"]

    rows = [
        [name, *_row(runs, baselines, fills="reducible" in name)] for name, runs in runs_of.items()
    ]

    return markdown_table(columns, rows)


def _row(
    runs: Sequence[ArmResult], baselines: Mapping[str, Sequence[ArmResult]], *, fills: bool
) -> list[str]:
    last = [run.curve[-1] for run in runs]

    selecting = fmean(run.selection_share for run in runs)

    cells = [
        str(len(runs)),
        spread([point.loss for point in last], ".3f"),
        spread([point.bleu or 0.0 for point in last], ".1f"),
        _share([run.noise_share for run in runs]),
        _share([run.known_share for run in runs]),
        f"{selecting:.0%}",
    ]

    training = fmean(run.training_flops for run in runs)

    share_of_training = training / (training + fmean(run.selection_flops for run in runs))

    for name, baseline in baselines.items():
        flops = ratios(runs, baseline, _flops, _loss)

        cells += [
            _told(ratios(runs, baseline, _pairs, _loss)),
            _told(ratios(runs, baseline, _pairs, _bleu)),
            _told(flops),
            _told(ratios(runs, baseline, _flops, _bleu)),
        ]

        if name == "iid":
            cells += [
                _told(flops, 2.0 - share_of_training if fills else 1.0),
                _told(flops, share_of_training / (1.0 - selecting)),
            ]

    return cells


def _pairs(point: ValidationPoint) -> float:
    return point.samples


def _flops(point: ValidationPoint) -> float:
    return point.flops


def _loss(point: ValidationPoint) -> float:
    return -point.loss


def _bleu(point: ValidationPoint) -> float:
    return point.bleu or 0.0


def ratios(
    runs: Sequence[ArmResult], baseline: Sequence[ArmResult], cost: Figure, quality: Figure
) -> list[float | None]:
    """What each run had cost at the baseline's mean final quality, over what the whole baseline
    did; ``None`` where a run never got there."""
    if runs is baseline:
        # By definition; each seed by itself ends above or below the mean.
        return [1.0]

    target = fmean(quality(run.curve[-1]) for run in baseline)
    spent = fmean(cost(run.curve[-1]) for run in baseline)

    needed = (cost_to(run.curve, target, cost, quality) for run in runs)

    return [None if n is None else n / spent for n in needed]


def cost_to(
    curve: Sequence[ValidationPoint], target: float, cost: Figure, quality: Figure
) -> float | None:
    """What a run had cost when it reached a quality, linear between validations; ``None`` if it
    never did."""
    found = first_crossing([quality(point) - target for point in curve])

    if found is None:
        return None

    index, weight = found

    before, after = cost(curve[max(0, index - 1)]), cost(curve[index])

    return before + weight * (after - before)


def _told(values: Sequence[float | None], factor: float = 1.0) -> str:
    reached = [factor * value for value in values if value is not None]

    if len(reached) < len(values):
        return "never" if not reached else f"{len(reached)} of {len(values)} seeds"

    return spread(reached, ".2f")


def _share(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]

    return f"{fmean(known):.0%}" if known else ""


def slug(name: str) -> str:
    """An arm's name as that of a file."""
    return re.sub(r"[^\w.]+", "-", name)
