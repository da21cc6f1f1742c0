"""What joint selection brings, arm by arm: pairs, FLOPs and time to iid's final quality.

    python -m benchmarks.data_efficiency [--corpora C ...] [--arms A ...] [--seeds N] [--steps N]

The built-in corpus with a tiny NLLB that was pre-trained on clean pairs of a part of the grammar.
Each result is stored under ``benchmarks/results/data_efficiency`` as it is done, so that the sweep
can be stopped, continued, and added to; the table is of all that is stored.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from benchmarks.arms import (
    Arm,
    ArmResult,
    ValidationPoint,
    by_name,
    checkpoint,
    plot,
    run_arms,
    table,
)
from benchmarks.demo import DIRECTION, ROOT, regime

RESULTS = ROOT / "benchmarks" / "results" / "data_efficiency"

NUM_PRETRAIN_STEPS = 300

NUM_REFERENCE_STEPS = 100
"""What the reference model learns from the trusted pairs, after the same pre-training."""

REFERENCE_MODEL = "<reference model>"
"""Stands in an arm's overrides for the checkpoint of that model."""

POOLS: Mapping[str, Mapping[str, object]] = {
    "clean": {},
    "noise-0.5": {"noise_share": 0.5},
    "noise-0.8": {"noise_share": 0.8},
    "known-0.5": {"known_share": 0.5},
    "known-0.5-noise-0.5": {"known_share": 0.5, "noise_share": 0.5},
}
"""What the pool of each corpus holds, as the built-in corpus's config says it."""


FILTER = "dataset.min_reference_score=0.5"
"""Passes 87 % of the clean pairs and as many of the scrambled, 15 % of the truncated, no others."""


ARM_FILTERED = (FILTER, "reference_encoder={name: builtin, config: {}}")


def _joint(**config: object) -> tuple[str, tuple[str, ...]]:
    return "demo-jest", tuple(
        f"batch_selector.config.{name}={json.dumps(value)}"
        for name, value in {"learner_weight": 0.2, **config}.items()
    )


def _reducible(**config: object) -> tuple[str, tuple[str, ...]]:
    preset, overrides = _joint(
        **{"learner_view": "reducible_loss", "learner_weight": 2.0, "shortlist": 0.3, **config}
    )

    return preset, (
        *overrides,
        "reference_model.family=nllb",
        "reference_model.arch=tiny_builtin",
        f"reference_model.path={REFERENCE_MODEL}",
    )


FROM_REFERENCE = f"model.path={REFERENCE_MODEL}"

ARMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "iid": ("demo-iid", ()),
    "iid + trusted": ("demo-iid", ("dataset.train_split=train_and_trusted",)),
    "iid, clean only": ("demo-iid", ("dataset.train_split=clean",)),
    "iid, filtered": ("demo-iid", ARM_FILTERED),
    "joint, filtered": (_joint()[0], (*_joint()[1], FILTER)),
    "joint, learner 0, filtered": (_joint()[0], (*_joint(learner_weight=0.0)[1], FILTER)),
    "independent": (
        "demo-jest",
        ("batch_selector.name=independent", "batch_selector.config={super_batch_size: 1000}"),
    ),
    "joint": _joint(),
    "joint, learner 0": _joint(learner_weight=0.0),
    "joint, learner 0.5": _joint(learner_weight=0.5, reference_weight=0.5),
    "joint, as printed": _joint(off_diagonal="paper", joint_terms="sum", temperature="raw"),
    "joint, paper's sign, standardised": _joint(off_diagonal="paper"),
    "joint, summed": _joint(joint_terms="sum"),
    "joint, 1 chunk": _joint(num_chunks=1),
    "joint, 16 chunks": _joint(num_chunks=16),
    "joint, support 0.7": _joint(target_support=0.7),
    "joint, support 3": _joint(target_support=3.0),
    "joint, shortlist 0.3": _joint(shortlist=0.3),
    "joint, 1 layer": (_joint()[0], (*_joint()[1], "batch_selector.num_learner_layers=1")),
    "joint, loss": _joint(learner_view="loss", shortlist=0.3),
    "joint, loss 1": _joint(learner_view="loss", shortlist=0.3, learner_weight=1.0),
    "joint, loss alone": _joint(learner_view="loss", learner_weight=1.0, reference_weight=0.0),
    "joint, centred similarity": _joint(learner_view="centred_similarity"),
    "joint, learner 0 to 0.5": _joint(learner_weight=0.0, final_learner_weight=0.5),
    "joint, learner 0.5 to 0, cosine": _joint(
        learner_weight=0.5, final_learner_weight=0.0, learner_schedule="cosine"
    ),
    "joint, super-batch 500": _joint(learner_weight=0.0, super_batch_size=500, filter_ratio=0.8),
    "joint, super-batch 2000": _joint(learner_weight=0.0, super_batch_size=2000, filter_ratio=0.95),
    "joint, reducible": _reducible(),
    "joint, reducible, shortlist 0.15": _reducible(shortlist=0.15),
    "joint, reducible, shortlist 0.5": _reducible(shortlist=0.5),
    "reducible alone": _reducible(shortlist=1.0, learner_weight=1.0, reference_weight=0.0),
    "reference model, iid, filtered": ("demo-iid", (*ARM_FILTERED, FROM_REFERENCE)),
    "reference model, iid, clean only": (
        "demo-iid",
        ("dataset.train_split=clean", FROM_REFERENCE),
    ),
    "reference model, joint, learner 0": (
        "demo-jest",
        ("batch_selector.config.learner_weight=0.0", FROM_REFERENCE),
    ),
    "reference model, joint, reducible": (
        _reducible()[0],
        (*_reducible()[1], FROM_REFERENCE),
    ),
}
"""The preset of each arm, and what is set beside."""


LEADING = ("joint, learner 0", "joint", "iid, filtered", "iid + trusted", "iid")
"""The arms that are drawn."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.data_efficiency",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".demo" / "data_efficiency")
    parser.add_argument("--corpora", nargs="+", choices=POOLS, default=["noise-0.5"])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=100, help="steps of 100 pairs")
    args = parser.parse_args()

    out: Path = args.out.resolve()

    os.environ.setdefault("FAIRSEQ2_JEST_CACHE_DIR", str(out / "cache"))

    pretraining = Arm(
        name="pre-training",
        key="pretrain",
        preset="demo-iid",
        overrides=("dataset.train_split=pretrain", *regime(NUM_PRETRAIN_STEPS, 1)),
    )

    run_arms([pretraining], out)

    model = checkpoint(out, pretraining, NUM_PRETRAIN_STEPS)

    reference = Arm(
        name="reference model",
        key="reference",
        preset="demo-iid",
        file=_config(out, "clean"),
        overrides=(
            "dataset.train_split=trusted",
            f"model.path={model}",
            "optimizer.config.lr=0.001",
            *regime(NUM_REFERENCE_STEPS, 1),
        ),
    )

    run_arms([reference], out)

    reference_model = str(checkpoint(out, reference, NUM_REFERENCE_STEPS))

    arms = [
        (
            corpus,
            Arm(
                name=name,
                key=f"{_slug(name)}-{args.steps}-{seed}",
                preset=preset,
                file=_config(out, corpus),
                overrides=(
                    f"model.path={model}",
                    f"common.seed={seed}",
                    "optimizer.config.lr=0.001",
                    *regime(args.steps, 10),
                    *(o.replace(REFERENCE_MODEL, reference_model) for o in overrides),
                ),
            ),
        )
        for seed in range(1, args.seeds + 1)
        for corpus in args.corpora
        for name, (preset, overrides) in ARMS.items()
        if name in args.arms
    ]

    for corpus in args.corpora:
        run_arms([arm for c, arm in arms if c == corpus], out / corpus, RESULTS / corpus)

        _tell(RESULTS / corpus, args.steps, corpus)


def _tell(folder: Path, steps: int, corpus: str) -> None:
    results = stored(folder, steps)

    text = f"{table(results)}\n\n{efficiency_table(results)}\n"

    (folder / "table.md").write_text(text, encoding="utf-8")

    leading = [result for result in results if result.name in LEADING]

    plot(leading, folder / "curve.png", title=f"Built-in corpus, {corpus}")

    print(f"\n{corpus}\n\n{text}", flush=True)


def stored(folder: Path, steps: int) -> list[ArmResult]:
    """All results of so many steps in a folder, iid first."""
    results = [ArmResult.load(file) for file in sorted(folder.glob(f"*-{steps}-*.json"))]

    order = list(ARMS)

    return sorted(results, key=lambda result: order.index(result.name))


def efficiency_table(results: Sequence[ArmResult]) -> str:
    """Each arm's end, and what it needed for iid's final quality as a ratio to what iid needed."""
    lines = [
        "| arm | seeds | loss | BLEU | noise | known | pairs to iid's loss | to its BLEU | FLOPs "
        "to its loss | time to its loss | selecting |",
        "|---" * 11 + "|",
    ]

    runs_of = by_name(results)

    if "iid" not in runs_of:
        raise SystemExit("The arms are compared with iid: run it, too.")

    baseline = _mean_curve(runs_of["iid"])

    for name, runs in runs_of.items():
        curve = _mean_curve(runs)
        last = curve[-1]

        def ratio(
            cost: Callable[[ValidationPoint], float],
            quality: Callable[[ValidationPoint], float],
            curve: Sequence[ValidationPoint] = curve,
        ) -> str:
            needed = cost_to(curve, quality(baseline[-1]), cost, quality)

            return "never" if needed is None else f"{needed / cost(baseline[-1]):.2f}"

        cells = [
            name,
            str(len(runs)),
            f"{last.loss:.3f}",
            f"{last.bleu or 0.0:.1f}",
            _share([run.noise_share for run in runs]),
            _share([run.known_share for run in runs]),
            ratio(lambda point: point.samples, lambda point: -point.loss),
            ratio(lambda point: point.samples, lambda point: point.bleu or 0.0),
            ratio(lambda point: point.flops, lambda point: -point.loss),
            ratio(lambda point: point.seconds, lambda point: -point.loss),
            f"{fmean(run.selection_share for run in runs):.0%}",
        ]

        lines.append(f"| {' | '.join(cells)} |")

    return "\n".join(lines)


def cost_to(
    curve: Sequence[ValidationPoint],
    target: float,
    cost: Callable[[ValidationPoint], float],
    quality: Callable[[ValidationPoint], float],
) -> float | None:
    """What a run had cost when it reached a quality, linear between validations; ``None`` if it
    never did."""
    before: ValidationPoint | None = None

    for point in curve:
        if quality(point) >= target:
            if before is None:
                return cost(point)

            share = (target - quality(before)) / (quality(point) - quality(before))

            return cost(before) + share * (cost(point) - cost(before))

        before = point

    return None


def _mean_curve(runs: Sequence[ArmResult]) -> list[ValidationPoint]:
    return [
        ValidationPoint(
            samples=round(fmean(point.samples for point in points)),
            loss=fmean(point.loss for point in points),
            bleu=fmean(point.bleu or 0.0 for point in points),
            flops=fmean(point.flops for point in points),
            seconds=fmean(point.seconds for point in points),
        )
        for points in zip(*(run.curve for run in runs), strict=True)
    ]


def _share(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]

    return f"{fmean(known):.0%}" if known else ""


def _slug(name: str) -> str:
    return re.sub(r"[^\w.]+", "-", name)


def _config(out: Path, corpus: str) -> Path:
    """Writes the config that names a corpus: the pool, its clean pairs alone, and the others."""

    def split(name: str, **builtin: object) -> dict[str, object]:
        return {"split": name, "direction": DIRECTION, "format": "builtin", "builtin": builtin}

    pool = {"part": "pool", "size": 30_000, **POOLS[corpus]}

    corpora = [
        split("train", **pool),
        split("train_and_trusted", **pool),
        split("train_and_trusted", part="trusted", size=8_000),
        split("trusted", part="trusted", size=8_000),
        split("clean", part="pool", size=30_000),
        split("valid", part="valid", size=500),
    ]

    file = out / f"{corpus}.yaml"

    file.parent.mkdir(parents=True, exist_ok=True)

    # JSON is YAML.
    file.write_text(
        json.dumps({"dataset": {"config_overrides": {"corpora": corpora}}}), encoding="utf-8"
    )

    return file


if __name__ == "__main__":
    main()
