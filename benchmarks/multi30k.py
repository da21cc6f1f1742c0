"""Joint selection on real bitext with added misalignment: Multi30k English-German.

    python -m benchmarks.multi30k [--data DIR] [--out DIR] [--steps N] [--seeds N]

``DIR`` holds ``train.{en,de}`` and ``valid.{en,de}``. Of the training pairs, the first 4,000 are
trusted: the reference and the tokenizer learn from them, and the model is pre-trained on them. The
rest is the pool; half of its targets are moved to other sources, and labelled so.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.arms import Arm, checkpoint, plot, run_arms, table
from benchmarks.demo import regime

ROOT = Path(__file__).resolve().parent.parent

NUM_TRUSTED = 4_000

NUM_PRETRAIN_STEPS = 200

VOCAB_SIZE = 4_000

Pair = tuple[str, str, str]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.multi30k", description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/multi30k-ende")
    parser.add_argument("--out", type=Path, default=ROOT / ".demo" / "multi30k")
    parser.add_argument("--steps", type=int, default=200, help="steps of 100 pairs")
    parser.add_argument("--seeds", type=int, default=1, help="how often to fine-tune")
    args = parser.parse_args()

    data, out = args.data.resolve(), args.out.resolve()

    if not (data / "train.en").is_file():
        print(f"Skipped: there is no Multi30k at {data}; name its folder with --data.")

        return 0

    # Runs of an earlier time would be resumed, not repeated.
    for folder in ("runs", "results"):
        shutil.rmtree(out / folder, ignore_errors=True)

    out.mkdir(parents=True, exist_ok=True)

    os.environ.setdefault("FAIRSEQ2_JEST_CACHE_DIR", str(out / "cache"))

    config = _prepare(data, out)

    pretraining = Arm(
        name="pre-training",
        key="pretrain",
        preset="demo-iid",
        file=config,
        overrides=("dataset.train_split=trusted", *regime(NUM_PRETRAIN_STEPS, 1)),
    )

    run_arms([pretraining], out)

    common = (
        f"model.path={checkpoint(out, pretraining, NUM_PRETRAIN_STEPS)}",
        "optimizer.config.lr=0.001",
        *regime(args.steps, 5),
    )

    reference = (
        "reference_encoder.name=sentence_transformer",
        f"reference_encoder.config.model={out / 'reference'}",
        "reference_encoder.config.device=cpu",
    )

    results = run_arms(
        [
            Arm(
                name=name,
                key=f"{key}-{seed}",
                preset=preset,
                file=config,
                overrides=(f"common.seed={seed}", *common, *overrides),
            )
            for name, key, preset, overrides in (
                ("jest", "jest", "demo-jest", reference),
                (
                    "jest, learner 0",
                    "jest-learner-0",
                    "demo-jest",
                    (*reference, "batch_selector.config.learner_weight=0.0"),
                ),
                ("iid", "iid", "demo-iid", ()),
                (
                    "iid + the reference's clean pairs",
                    "iid-trusted",
                    "demo-iid",
                    ("dataset.train_split=pool_and_trusted",),
                ),
            )
            for seed in range(1, args.seeds + 1)
        ],
        out,
    )

    (out / "table.md").write_text(table(results) + "\n", encoding="utf-8")
    plot(results, out / "curve.png", title="Multi30k English-German, half misaligned")

    print(table(results))

    return 0


def _prepare(data: Path, out: Path) -> Path:
    """Writes corpora, tokenizer, reference and the config that names them."""
    import sentencepiece

    from fairseq2_jest.embedding.builtin_reference import ReferenceTraining, train_static_reference

    def read(name: str) -> list[str]:
        return (data / name).read_text(encoding="utf-8").rstrip("\n").split("\n")

    pairs = list(zip(read("train.en"), read("train.de"), strict=True))

    trusted, pool = pairs[:NUM_TRUSTED], _misalign(pairs[NUM_TRUSTED:])

    _write(out / "trusted.tsv", [(*pair, "clean") for pair in trusted])
    _write(out / "pool.tsv", pool)

    valid = zip(read("valid.en"), read("valid.de"), strict=True)

    _write(out / "valid.tsv", [(*pair, "clean") for pair in valid])

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([side for pair in trusted for side in pair]),
        model_prefix=str(out / "tokenizer"),
        vocab_size=VOCAB_SIZE - 6,
        num_threads=1,
        minloglevel=2,
    )

    reference = train_static_reference(trusted, ReferenceTraining(vocab_size=VOCAB_SIZE))
    reference.save(str(out / "reference"), create_model_card=False)

    def corpus(split: str, name: str) -> dict[str, object]:
        return {
            "split": split,
            "direction": "eng_Latn-deu_Latn",
            "path": str(out / f"{name}.tsv"),
            "label_column": 2,
        }

    splits = [
        ("train", "pool"),
        ("trusted", "trusted"),
        ("pool_and_trusted", "pool"),
        ("pool_and_trusted", "trusted"),
        ("valid", "valid"),
    ]

    langs = ["eng_Latn", "deu_Latn"]

    config = {
        "model": {"config_overrides": {"vocab_size": VOCAB_SIZE}},
        "tokenizer": {
            "name": None,
            "path": str(out / "tokenizer.model"),
            "family": "nllb",
            "config_overrides": {"langs": langs, "default_lang": langs[0]},
        },
        "dataset": {
            "name": None,
            "family": "parallel_text",
            "config_overrides": {"corpora": [corpus(*split) for split in splits]},
        },
    }

    file = out / "config.yaml"

    # JSON is YAML.
    file.write_text(json.dumps(config, indent=1), encoding="utf-8")

    return file


def _misalign(pairs: Sequence[tuple[str, str]]) -> list[Pair]:
    """Moves the targets of half of the pairs one place on, in a random order."""
    moved = random.Random(1).sample(range(len(pairs)), len(pairs) // 2)

    target_of = dict(zip(moved, [*moved[1:], moved[0]], strict=True))

    return [
        (source, pairs[target_of.get(i, i)][1], "misaligned" if i in target_of else "clean")
        for i, (source, _) in enumerate(pairs)
    ]


def _write(file: Path, rows: Sequence[Pair]) -> None:
    lines = ["\t".join(field.replace("\t", " ") for field in row) for row in rows]

    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
