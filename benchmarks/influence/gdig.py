"""What training on G-DIG's choice brings, beside other choices of as many pairs.

    python -m benchmarks.influence.gdig [CORPUS] [--sizes K ...] [--arms A ...] [--seeds N]
        [--steps N] [--data DIR]

Half of the corpus ``built-in`` is noise of several kinds, half of ``multi30k`` (image captions, in
``DIR/multi30k-ende``) is misaligned; a tiny NLLB was pre-trained on other pairs. Each arm chooses k
pairs of the pool and trains on them for the same number of steps, so that few pairs are seen often.
Influence is computed once, at that model after a short fine-tune on the pool; training begins
before it. Each result is stored under ``benchmarks/results/gdig`` as it is done, so that the sweep
can be stopped and continued; the table is of all that is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import DIRECTION, ROOT
from benchmarks.arms import Arm, ArmResult, run_arms, table
from benchmarks.bitext import write_pairs
from benchmarks.demo import regime
from benchmarks.efficiency import slug, stored
from benchmarks.influence.choosing import (
    Chooser,
    at_random,
    best_by_reference,
    by_influence,
    clean_at_random,
    everything,
)
from benchmarks.influence.pools import Pool, open_builtin_pool, open_multi30k_pool
from benchmarks.influence.setup import argument_parser, open_folder

RESULTS = ROOT / "benchmarks" / "results" / "gdig"

JOINT = (
    "batch_selector.config.learner_weight=0.0",
    "batch_selector.config.super_batch_size=500",
    "batch_selector.config.filter_ratio=0.8",
)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An arm: how it chooses, and how it trains."""

    chooser: Chooser

    by_lot: bool = False
    """Whether another seed chooses other pairs."""

    preset: str = "demo-iid"

    overrides: tuple[str, ...] = ()


ARMS: Mapping[str, Choice] = {
    "random": Choice(chooser=at_random, by_lot=True),
    "reference score, top k": Choice(chooser=best_by_reference),
    "G-DIG": Choice(chooser=by_influence()),
    "G-DIG, no diversity": Choice(chooser=by_influence(spread=False)),
    "G-DIG, then joint": Choice(chooser=by_influence(), preset="demo-jest", overrides=JOINT),
    "random clean": Choice(chooser=clean_at_random, by_lot=True),
    "whole pool": Choice(chooser=everything),
    "G-DIG, 32 seeds": Choice(chooser=by_influence(num_seeds=32)),
    "G-DIG, 256 seeds": Choice(chooser=by_influence(num_seeds=256)),
    "G-DIG, 512 seeds": Choice(chooser=by_influence(num_seeds=512)),
    "G-DIG, embedding clusters": Choice(chooser=by_influence("diversity.features=embeddings")),
}

LEADING = (
    "random",
    "reference score, top k",
    "G-DIG",
    "G-DIG, no diversity",
    "G-DIG, then joint",
    "random clean",
    "whole pool",
)
"""What is run when nothing else is asked for."""


def main() -> None:
    parser = argument_parser("gdig", __doc__)
    parser.add_argument("corpus", nargs="?", choices=("built-in", "multi30k"), default="built-in")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--sizes", type=int, nargs="+", default=[500, 2_000], metavar="K")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(LEADING))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=50, help="steps of 100 pairs")
    args = parser.parse_args()

    out = open_folder(args.out)

    if args.corpus == "built-in":
        pool = open_builtin_pool(out)
    else:
        try:
            pool = open_multi30k_pool(out, args.data.resolve())
        except FileNotFoundError as ex:
            print(
                f"Skipped: there is no {ex.filename}; name the folder of the corpora with --data."
            )

            return

    results = RESULTS / args.corpus

    # One by one: choosing for an arm may take long, and what is stored is not chosen again.
    for seed in range(1, args.seeds + 1):
        for size in args.sizes:
            for name in args.arms:
                folder, choice = f"k-{size}", ARMS[name]

                key = f"{slug(name)}-{args.steps}-{seed}"

                if (results / folder / f"{key}.json").exists():
                    continue

                arm = Arm(
                    name=name,
                    key=key,
                    preset=choice.preset,
                    file=_chosen(pool, choice, slug(name), size, seed),
                    overrides=(
                        f"model.path={pool.model}",
                        f"common.seed={seed}",
                        "optimizer.config.lr=0.001",
                        *regime(args.steps, 2),
                        *choice.overrides,
                    ),
                )

                run_arms([arm], pool.out / folder, results / folder)

                tell(results, args.steps)

    tell(results, args.steps)


def _chosen(pool: Pool, choice: Choice, name: str, size: int, seed: int) -> Path:
    """Writes the pairs that an arm chooses, if need be, and the config that names them."""
    if not choice.by_lot:
        seed = 1

    file = pool.out / "chosen" / f"{name}-{size}-{seed}.tsv"

    if not file.exists():
        rows = choice.chooser(pool, size, seed)

        labels = [label or "" for label in pool.corpus.labels(rows)]

        scratch = file.with_suffix(".tmp")

        write_pairs(scratch, list(zip(*pool.corpus.texts(rows), strict=True)), labels)

        scratch.replace(file)

    train = {
        "split": "train",
        "direction": DIRECTION,
        "format": "tsv",
        "path": str(file),
        "label_column": 2,
    }

    return pool.write_config(file.with_suffix(".yaml"), train)


def tell(results_folder: Path, steps: int) -> None:
    """Prints and stores the table of all results of so many steps on a corpus."""
    parts = []

    for folder in sorted(results_folder.glob("k-*"), key=lambda path: int(path.name[2:])):
        results: list[ArmResult] = stored(folder, ARMS, steps)

        if results:
            parts.append(f"k = {int(folder.name[2:]):,}\n\n{table(results)}")

    text = "\n\n".join(parts)

    (results_folder / f"table-{steps}.md").write_text(text + "\n", encoding="utf-8")

    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
