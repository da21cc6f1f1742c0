"""What joint selection brings on real bitext, arm by arm.

    python -m benchmarks.real_bitext {multi30k,wmt-demo} [--arms A ...] [--seeds N] [--data DIR]

``DIR`` holds the folders ``multi30k-ende``, ``wmt-demo-ende`` and ``bible-ende``, each with
``train.{en,de}``, the first two with ``valid.{en,de}``. A small NLLB is pre-trained on trusted
pairs; the reference encoder learns from the same, and the reference model goes on from that model
on those of the pool's domain. Each result is stored under ``benchmarks/results`` as it is done.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import DIRECTION, ROOT
from benchmarks.arms import Arm, checkpoint, run_arms
from benchmarks.bitext import (
    Pair,
    bitext_config,
    read_pairs,
    train_pieces,
    train_reference,
    write_pairs,
)
from benchmarks.configs import write_config
from benchmarks.data_efficiency import REFERENCE_MODEL, fill_in
from benchmarks.demo import regime
from benchmarks.efficiency import slug, tell
from fairseq2_jest.embedding.builtin_reference import ReferenceTraining

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

NUM_PRETRAIN_STEPS = 200

VOCAB_SIZE = 4_000


@dataclass(frozen=True, kw_only=True)
class Bitext:
    """A corpus of the benchmark."""

    trusted: Sequence[Pair]
    """What model and reference encoder learn from beforehand; no pair of the pool or of valid."""

    in_domain: Sequence[Pair]
    """Trusted pairs of the pool's kind, which the reference model learns from."""

    pool: Sequence[Pair]
    """What there is to train on."""

    valid: Sequence[Pair]
    """What arms are judged by."""

    labels: Sequence[str] | None
    """``clean`` or the kind of noise of each pair of the pool, where that is known."""

    noise_share: float
    """The share of the pool that a filter takes away."""

    super_batch_size: int
    """The pairs to choose from; a tenth of them is trained on."""

    num_steps: int
    """Steps of fine-tuning."""

    num_reference_steps: int
    """Steps of the reference model's training, 100 pairs each."""


def _multi30k(data: Path) -> Bitext:
    """Image captions; half of the targets of the pool are moved to other sources."""
    pairs = read_pairs(data / "multi30k-ende", "train")

    trusted = pairs[:4_000]

    pool, labels = _misalign(pairs[4_000:])

    return Bitext(
        trusted=trusted,
        in_domain=trusted,
        pool=pool,
        valid=read_pairs(data / "multi30k-ende", "valid"),
        labels=labels,
        noise_share=0.5,
        super_batch_size=1_000,
        num_steps=200,
        num_reference_steps=200,
    )


def _wmt_demo(data: Path) -> Bitext:
    """Europarl, news and web pages as they were mined; half of the news test set is trusted."""
    news = read_pairs(data / "wmt-demo-ende", "valid")

    captions = read_pairs(data / "multi30k-ende", "train")[:8_000]

    return Bitext(
        trusted=[*captions, *read_pairs(data / "bible-ende", "train")[:8_000], *news[:1_500]],
        in_domain=news[:1_500],
        pool=read_pairs(data / "wmt-demo-ende", "train"),
        valid=news[1_500:],
        labels=None,
        noise_share=0.3,
        super_batch_size=500,
        num_steps=100,
        num_reference_steps=50,
    )


CORPORA = {"multi30k": _multi30k, "wmt-demo": _wmt_demo}

JOINT = ("batch_selector.config.learner_weight=0.2",)

FILTERED = "dataset.min_reference_score=<threshold>"

REDUCIBLE = (
    "batch_selector.config.learner_view=reducible_loss",
    "batch_selector.config.learner_weight=2.0",
    "batch_selector.config.shortlist=0.3",
    "reference_model.family=nllb",
    "reference_model.arch=tiny_builtin",
    f"reference_model.config_overrides.vocab_size={VOCAB_SIZE}",
    f"reference_model.path={REFERENCE_MODEL}",
)

HALF = (
    "batch_selector.config.super_batch_size=<twice the sub-batch>",
    "batch_selector.config.filter_ratio=0.5",
)
"""A milder choice, for corpora with little noise or references of another domain."""

ARMS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "iid": ("demo-iid", ()),
    "iid + trusted": ("demo-iid", ("dataset.train_split=pool_and_trusted",)),
    "iid, clean only": ("demo-iid", ("dataset.train_split=clean",)),
    "iid, filtered": ("demo-iid", (FILTERED,)),
    "joint": ("demo-jest", JOINT),
    "joint, learner 0": ("demo-jest", ("batch_selector.config.learner_weight=0.0",)),
    "joint, reducible": ("demo-jest", REDUCIBLE),
    "joint, learner 0, half": (
        "demo-jest",
        ("batch_selector.config.learner_weight=0.0", *HALF),
    ),
    "joint, reducible, half": (
        "demo-jest",
        (*REDUCIBLE, *HALF, "batch_selector.config.shortlist=1.0"),
    ),
    "reference model, iid, filtered": ("demo-iid", (FILTERED, f"model.path={REFERENCE_MODEL}")),
    "reference model, joint, reducible": (
        "demo-jest",
        (*REDUCIBLE, f"model.path={REFERENCE_MODEL}"),
    ),
}
"""The preset of each arm, and what is set beside."""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.real_bitext",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / ".demo" / "real_bitext")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()

    data, out = args.data.resolve(), args.out.resolve() / args.corpus

    try:
        bitext = CORPORA[args.corpus](data)
    except FileNotFoundError as ex:
        print(f"Skipped: there is no {ex.filename}; name the folder of the corpora with --data.")

        return 0

    out.mkdir(parents=True, exist_ok=True)

    os.environ.setdefault("FAIRSEQ2_JEST_CACHE_DIR", str(out / "cache"))

    config, threshold = _prepare(bitext, out)

    model = f"model.path={pretrain(config, out)}"

    reference = Arm(
        name="reference model",
        key="reference",
        preset="demo-iid",
        file=config,
        overrides=(
            "dataset.train_split=in_domain",
            model,
            "optimizer.config.lr=0.001",
            *regime(bitext.num_reference_steps, 1),
        ),
    )

    run_arms([reference], out)

    sub_batch_size = bitext.super_batch_size // 10

    size_of = {
        "demo-iid": f"batch_selector.config.batch_size={sub_batch_size}",
        "demo-jest": f"batch_selector.config.super_batch_size={bitext.super_batch_size}",
    }

    filled_in = {
        REFERENCE_MODEL: str(checkpoint(out, reference, bitext.num_reference_steps)),
        "<threshold>": str(threshold),
        "<twice the sub-batch>": str(2 * sub_batch_size),
    }

    arms = [
        Arm(
            name=name,
            key=f"{slug(name)}-{bitext.num_steps}-{seed}",
            preset=preset,
            file=config,
            overrides=(
                model,
                f"common.seed={seed}",
                "optimizer.config.lr=0.001",
                size_of[preset],
                *regime(bitext.num_steps, 5),
                *(fill_in(override, filled_in) for override in overrides),
            ),
        )
        for seed in range(1, args.seeds + 1)
        for name, (preset, overrides) in ARMS.items()
        if name in args.arms and not (name == "iid, clean only" and bitext.labels is None)
    ]

    folder = ROOT / "benchmarks" / "results" / args.corpus

    run_arms(arms, out, folder)

    tell(folder, ARMS, bitext.num_steps, args.corpus)

    return 0


def prepare_multi30k(data: Path, out: Path) -> Path:
    """The config of the corpus ``multi30k``; its splits are ``train``, ``trusted`` and ``valid``.

    :raises FileNotFoundError: ``data`` has no such corpus.
    """
    out.mkdir(parents=True, exist_ok=True)

    return _prepare(_multi30k(data), out)[0]


def pretrain(config: Path, out: Path) -> Path:
    """A small model that has seen the trusted pairs alone."""
    arm = Arm(
        name="pre-training",
        key="pretrain",
        preset="demo-iid",
        file=config,
        overrides=("dataset.train_split=trusted", *regime(NUM_PRETRAIN_STEPS, 1)),
    )

    run_arms([arm], out)

    return checkpoint(out, arm, NUM_PRETRAIN_STEPS)


def _prepare(bitext: Bitext, out: Path) -> tuple[Path, float]:
    """Writes corpora, tokenizer and reference; returns the config that names them, and the
    reference score that all but the noise should have."""
    write_pairs(out / "trusted.tsv", bitext.trusted)
    write_pairs(out / "in_domain.tsv", bitext.in_domain)
    write_pairs(out / "valid.tsv", bitext.valid)
    write_pairs(out / "pool.tsv", bitext.pool, bitext.labels)

    if bitext.labels is not None:
        clean = [
            pair for pair, label in zip(bitext.pool, bitext.labels, strict=True) if label == "clean"
        ]

        write_pairs(out / "clean.tsv", clean)

    tokenizer = train_pieces(bitext.trusted, out, VOCAB_SIZE)

    reference = train_reference(
        bitext.trusted, out / "reference", ReferenceTraining(vocab_size=VOCAB_SIZE)
    )

    splits = [
        ("train", "pool"),
        ("trusted", "trusted"),
        ("in_domain", "in_domain"),
        ("pool_and_trusted", "pool"),
        ("pool_and_trusted", "trusted"),
        ("valid", "valid"),
    ]

    if bitext.labels is not None:
        splits.append(("clean", "clean"))

    corpora = [_corpus(split, out / f"{name}.tsv") for split, name in splits]

    config = bitext_config(tokenizer, VOCAB_SIZE, out / "reference", corpora)

    return write_config(out / "config.yaml", config), _threshold(reference, bitext)


def _threshold(reference: SentenceTransformer, bitext: Bitext) -> float:
    source, target = (
        reference.encode(list(side), normalize_embeddings=True, show_progress_bar=False)
        for side in zip(*bitext.pool, strict=True)
    )

    scores = (np.asarray(source) * np.asarray(target)).sum(axis=1)

    return round(float(np.quantile(scores, bitext.noise_share)), 3)


def _corpus(split: str, file: Path) -> dict[str, object]:
    labelled = len(file.read_text(encoding="utf-8").split("\n", 1)[0].split("\t")) == 3

    return {
        "split": split,
        "direction": DIRECTION,
        "path": str(file),
        **({"label_column": 2} if labelled else {}),
    }


def _misalign(pairs: Sequence[Pair]) -> tuple[list[Pair], list[str]]:
    """Moves the targets of half of the pairs one place on, in a random order."""
    moved = random.Random(1).sample(range(len(pairs)), len(pairs) // 2)

    target_of = dict(zip(moved, [*moved[1:], moved[0]], strict=True))

    return (
        [(source, pairs[target_of.get(i, i)][1]) for i, (source, _) in enumerate(pairs)],
        ["misaligned" if i in target_of else "clean" for i in range(len(pairs))],
    )


if __name__ == "__main__":
    sys.exit(main())
