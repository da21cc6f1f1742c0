"""`make demo`: the main job on the built-in corpus, with and without joint selection.

Pre-trains a tiny NLLB briefly on clean pairs of one part of the grammar, then fine-tunes it on a
corpus of which half was made noise: with `iid`, with `iid` plus the clean pairs that the reference
model learned from, with `iid` on what passes a filter by reference score, and with `jest`, for
equal numbers of trained pairs. Prints a table, and writes it with the curve to `.demo/`.
`--seeds 3` repeats the fine-tuning.
"""

from __future__ import annotations

import argparse
import os
import shutil
from math import gcd
from pathlib import Path

from benchmarks import ROOT
from benchmarks.arms import Arm, checkpoint, plot, run_arms, run_folder, table
from benchmarks.builtin import split, write_corpora
from fairseq2_jest.report.write import write_report

FILTERED = (
    "dataset.min_reference_score=0.5",
    "reference_encoder={name: builtin, config: {}}",
)
"""Passes 87 % of the clean pairs and as many of the scrambled, 15 % of the truncated, no others."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / ".demo", help="where results go")
    parser.add_argument("--seeds", type=int, default=1, help="how often to fine-tune")
    parser.add_argument("--pretrain-steps", type=int, default=100, help="steps of pre-training")
    parser.add_argument(
        "--steps", type=int, default=50, help="steps of fine-tuning, 100 pairs each"
    )
    args = parser.parse_args()

    out: Path = args.out.resolve()

    # Runs of an earlier demo would be resumed, not repeated.
    for folder in ("runs", "results"):
        shutil.rmtree(out / folder, ignore_errors=True)

    os.environ.setdefault("FAIRSEQ2_JEST_CACHE_DIR", str(out / "cache"))

    print("Pre-training on clean pairs of a part of the grammar.", flush=True)

    pretraining = Arm(
        name="pre-training",
        key="pretrain",
        preset="demo-iid",
        overrides=("dataset.train_split=pretrain", *regime(args.pretrain_steps, 1)),
    )

    (pretrained,) = run_arms([pretraining], out)

    print("Fine-tuning on a corpus of which half is noise.", flush=True)

    common = (
        f"model.path={checkpoint(out, pretraining, args.pretrain_steps)}",
        "optimizer.config.lr=0.001",
        *regime(args.steps, 4),
    )

    with_trusted_pairs = _with_trusted_pairs(out)

    arms = [
        Arm(
            name=name,
            key=f"{key}-{seed}",
            preset=preset,
            file=file,
            overrides=(f"common.seed={seed}", *common, *overrides),
        )
        for name, key, preset, file, overrides in (
            ("jest", "jest", "demo-jest", None, ()),
            ("iid", "iid", "demo-iid", None, ()),
            (
                "iid + the reference's clean pairs",
                "iid-trusted",
                "demo-iid",
                with_trusted_pairs,
                (),
            ),
            ("iid, filtered", "iid-filtered", "demo-iid", None, FILTERED),
        )
        for seed in range(1, args.seeds + 1)
    ]

    results = run_arms(arms, out)

    text = table(results)

    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    plot(results, out / "curve.png", title="Built-in corpus, half noise")
    write_report(out / "report", [run_folder(out, arm) for arm in arms])

    print(f"\nBefore fine-tuning: validation loss {pretrained.curve[-1].loss:.3f}\n\n{text}")
    print(
        f"\nThe curve is in {out / 'curve.png'}, all figures are in {out / 'report/report.html'};"
    )
    print(f"every run is under {out / 'runs'}.")


def regime(steps: int, num_validations: int) -> tuple[str, ...]:
    """How long a run is; it validates at even distances, and saves at its end."""
    # At the end, too, and saved there.
    every = max(n for n in range(1, max(1, steps // num_validations) + 1) if steps % n == 0)

    return (
        f"regime.num_steps={steps}",
        f"regime.validate_every_n_steps={every}",
        # fairseq2 validates only where it publishes.
        f"regime.publish_metrics_every_n_steps={gcd(every, 10)}",
        f"regime.checkpoint_every_n_steps={steps}",
    )


def _with_trusted_pairs(out: Path) -> Path:
    """The pool and, beside it, the pairs that the reference learned from."""
    from fairseq2_jest.embedding.builtin_reference import ReferenceTraining

    return write_corpora(
        out / "with_trusted_pairs.yaml",
        [
            split("train", part="pool", size=30_000, noise_share=0.5),
            split("train", part="trusted", size=ReferenceTraining().size),
            split("valid", part="valid", size=500),
        ],
    )


if __name__ == "__main__":
    main()
