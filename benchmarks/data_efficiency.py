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
from collections.abc import Mapping
from pathlib import Path

from benchmarks import ROOT
from benchmarks.arms import Arm, checkpoint, run_arms
from benchmarks.builtin import split, write_corpora
from benchmarks.demo import FILTERED, regime
from benchmarks.efficiency import slug, tell

RESULTS = ROOT / "benchmarks" / "results" / "data_efficiency"

NUM_PRETRAIN_STEPS = 300

PRETRAINING = Arm(
    name="pre-training",
    key="pretrain",
    preset="demo-iid",
    overrides=("dataset.train_split=pretrain", *regime(NUM_PRETRAIN_STEPS, 1)),
)
"""What every arm goes on from: it knows clean pairs of a part of the grammar."""

NUM_REFERENCE_STEPS = 200
"""What the reference model learns from the trusted pairs, after the same pre-training."""

REFERENCE_MODEL = "<reference model>"
"""Stands in an arm's overrides for the checkpoint of that model."""

SMALL_REFERENCE_MODEL = "<reference model of few pairs>"
"""Likewise, for one that saw 1,000 trusted pairs five times."""

REFERENCES = {
    REFERENCE_MODEL: ("reference", "trusted", NUM_REFERENCE_STEPS),
    SMALL_REFERENCE_MODEL: ("reference-1000", "few_trusted", 50),
}
"""Their folder, what they are trained on, and for how many steps."""

POOLS: Mapping[str, Mapping[str, object]] = {
    "clean": {},
    "noise-0.5": {"noise_share": 0.5},
    "noise-0.8": {"noise_share": 0.8},
    "known-0.5": {"known_share": 0.5},
    "known-0.5-noise-0.5": {"known_share": 0.5, "noise_share": 0.5},
}
"""What the pool of each corpus holds, as the built-in corpus's config says it."""


def _joint(**config: object) -> tuple[str, tuple[str, ...]]:
    return "demo-jest", tuple(
        f"batch_selector.config.{name}={json.dumps(value)}"
        for name, value in {"learner_weight": 0.2, **config}.items()
    )


def _reducible(
    reference_model: str = REFERENCE_MODEL, **config: object
) -> tuple[str, tuple[str, ...]]:
    preset, overrides = _joint(
        **{"learner_view": "reducible_loss", "learner_weight": 2.0, "shortlist": 0.3, **config}
    )

    return preset, (
        *overrides,
        "reference_model.family=nllb",
        "reference_model.arch=tiny_builtin",
        f"reference_model.path={reference_model}",
    )


def _chunks_of_400(num_chunks: int) -> tuple[str, tuple[str, ...]]:
    preset, overrides = _joint(learner_weight=0.0, super_batch_size=4000, num_chunks=num_chunks)

    return preset, (*overrides, *STEPS_OF_400)


STEPS_OF_400 = regime(25, 5)
"""As many pairs in a quarter of the steps."""

INDEPENDENT = (
    "batch_selector.name=independent",
    "batch_selector.config={super_batch_size: 1000}",
)

FROM_REFERENCE = f"model.path={REFERENCE_MODEL}"

ARMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "iid": ("demo-iid", ()),
    "iid + trusted": ("demo-iid", ("dataset.train_split=train_and_trusted",)),
    "iid, clean only": ("demo-iid", ("dataset.train_split=clean",)),
    "iid, filtered": ("demo-iid", FILTERED),
    "joint, filtered": (_joint()[0], (*_joint()[1], *FILTERED)),
    "joint, learner 0, filtered": (_joint()[0], (*_joint(learner_weight=0.0)[1], *FILTERED)),
    "independent": ("demo-jest", INDEPENDENT),
    "independent, filtered": ("demo-jest", (*INDEPENDENT, *FILTERED)),
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
    "joint, learner alone": _joint(learner_weight=1.0, reference_weight=0.0),
    "joint, loss alone": _joint(learner_view="loss", learner_weight=1.0, reference_weight=0.0),
    "joint, centred similarity": _joint(learner_view="centred_similarity"),
    "joint, learner 0 to 0.5": _joint(learner_weight=0.0, final_learner_weight=0.5),
    "joint, learner 0.5 to 0, cosine": _joint(
        learner_weight=0.5, final_learner_weight=0.0, learner_schedule="cosine"
    ),
    "joint, super-batch 500": _joint(learner_weight=0.0, super_batch_size=500, filter_ratio=0.8),
    "joint, super-batch 2000": _joint(learner_weight=0.0, super_batch_size=2000, filter_ratio=0.95),
    "iid, 400 a step": ("demo-iid", ("batch_selector.config.batch_size=400", *STEPS_OF_400)),
    **{
        f"joint, learner 0, 400 of 4000, {num_chunks} chunk(s)": _chunks_of_400(num_chunks)
        for num_chunks in (1, 2, 3, 6, 12)
    },
    "joint, reducible": _reducible(),
    "joint, reducible, 1,000 trusted": _reducible(SMALL_REFERENCE_MODEL),
    "joint, reducible, shortlist 0.15": _reducible(shortlist=0.15),
    "joint, reducible, shortlist 0.5": _reducible(shortlist=0.5),
    **{
        f"joint, reducible, {num_tokens} tokens": (
            _reducible()[0],
            (*_reducible()[1], f"batch_selector.max_learner_tokens={num_tokens}"),
        )
        for num_tokens in (6, 4)
    },
    "joint, reducible, 300 of 3000": _reducible(
        super_batch_size=3000, filter_ratio=1.0 - 100 / 3000, shortlist=0.1
    ),
    "joint, reducible, 150 of 3000": _reducible(
        super_batch_size=3000, filter_ratio=1.0 - 100 / 3000, shortlist=0.05
    ),
    "reducible alone": _reducible(shortlist=1.0, learner_weight=1.0, reference_weight=0.0),
    "reference model, iid, filtered": ("demo-iid", (*FILTERED, FROM_REFERENCE)),
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

    run_arms([PRETRAINING], out)

    model = checkpoint(out, PRETRAINING, NUM_PRETRAIN_STEPS)

    references = {
        placeholder: Arm(
            name=key,
            key=key,
            preset="demo-iid",
            file=_config(out, "clean"),
            overrides=(
                f"dataset.train_split={split}",
                f"model.path={model}",
                "optimizer.config.lr=0.001",
                *regime(num_steps, 1),
            ),
        )
        for placeholder, (key, split, num_steps) in REFERENCES.items()
    }

    run_arms(list(references.values()), out)

    filled_in = {
        placeholder: str(checkpoint(out, arm, REFERENCES[placeholder][2]))
        for placeholder, arm in references.items()
    }

    arms = [
        (
            corpus,
            Arm(
                name=name,
                key=f"{slug(name)}-{args.steps}-{seed}",
                preset=preset,
                file=_config(out, corpus),
                overrides=(
                    f"model.path={model}",
                    f"common.seed={seed}",
                    "optimizer.config.lr=0.001",
                    *regime(args.steps, 10),
                    *(fill_in(override, filled_in) for override in overrides),
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

        tell(RESULTS / corpus, ARMS, args.steps, f"Built-in corpus, {corpus}")


def fill_in(override: str, values: Mapping[str, str]) -> str:
    """Puts what is known only now into an override."""
    for placeholder, value in values.items():
        override = override.replace(placeholder, value)

    return override


def _config(out: Path, corpus: str) -> Path:
    """Writes the config that names a corpus: the pool, its clean pairs alone, and the others."""
    pool = {"part": "pool", "size": 30_000, **POOLS[corpus]}

    corpora = [
        split("train", **pool),
        split("train_and_trusted", **pool),
        split("train_and_trusted", part="trusted", size=8_000),
        split("trusted", part="trusted", size=8_000),
        split("few_trusted", part="trusted", size=1_000),
        split("clean", **{**pool, "noise_share": 0.0}),
        split("valid", part="valid", size=500),
    ]

    return write_corpora(out / f"{corpus}.yaml", corpora)


if __name__ == "__main__":
    main()
