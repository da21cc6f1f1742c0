"""The pool, the seeds and the model that the benchmarks of influence have in common."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.arms import Arm, checkpoint, run_arms, run_folder
from benchmarks.builtin import split, write_corpora
from benchmarks.data_efficiency import NUM_PRETRAIN_STEPS, NUM_REFERENCE_STEPS, PRETRAINING
from benchmarks.demo import regime

NUM_POOL_PAIRS = 12_000

NOISE_SHARE = 0.5

POOL: dict[str, Any] = {"part": "pool", "size": NUM_POOL_PAIRS, "noise_share": NOISE_SHARE}

NUM_WARM_UP_STEPS = 100
"""Of 100 pairs of the pool, its noise included."""


def argument_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """With the folder ``out``, in which all that is trained and prepared is kept.

    :param name: The benchmark's.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.influence.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    parser.add_argument("--out", type=Path, default=ROOT / ".demo" / "gdig")

    return parser


def open_folder(out: Path) -> Path:
    """The folder ``out``; caches are in it, for this process and those that it starts."""
    out = out.resolve()

    os.environ.setdefault("FAIRSEQ2_JEST_CACHE_DIR", str(out / "cache"))

    return out


def write_splits(out: Path) -> Path:
    """Writes the config that names the pool, its clean pairs, the trusted ones and the others."""
    return write_corpora(
        out / "splits.yaml",
        [
            split("train", **POOL),
            split("clean", part="pool", size=round(NUM_POOL_PAIRS * (1.0 - NOISE_SHARE))),
            split("trusted", part="trusted", size=8_000),
            split("valid", part="valid", size=500),
        ],
    )


def pretrained_model(out: Path) -> Path:
    """The model that has seen no pair of the pool."""
    run_arms([PRETRAINING], out)

    return checkpoint(out, PRETRAINING, NUM_PRETRAIN_STEPS)


def warm_up_run(out: Path, config: Path) -> Path:
    """The folder of a short fine-tune of that model on the pool."""
    return run_folder(out, fine_tune(out, config, pretrained_model(out), "train"))


def warm_up(out: Path, config: Path, num_steps: int = NUM_WARM_UP_STEPS) -> Path:
    """The model after it, at which gradients are taken."""
    arm = fine_tune(out, config, pretrained_model(out), "train", num_steps)

    return checkpoint(out, arm, num_steps)


def trusted_model(out: Path, config: Path) -> Path:
    """A model that learned from the trusted pairs."""
    arm = fine_tune(out, config, pretrained_model(out), "trusted", NUM_REFERENCE_STEPS)

    return checkpoint(out, arm, NUM_REFERENCE_STEPS)


def fine_tune(
    out: Path, config: Path, model: Path, train_split: str, num_steps: int = NUM_WARM_UP_STEPS
) -> Arm:
    """Goes on from ``model`` on a split of ``config``."""
    arm = Arm(
        name=f"{num_steps} steps on {train_split}",
        key=f"{train_split}-{num_steps}",
        preset="demo-iid",
        file=config,
        overrides=(
            f"dataset.train_split={train_split}",
            f"model.path={model}",
            "optimizer.config.lr=0.001",
            *regime(num_steps, 1),
        ),
    )

    run_arms([arm], out)

    return arm
