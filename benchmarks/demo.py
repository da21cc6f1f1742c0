"""`make demo`: the main job on the built-in corpus, with and without joint selection.

Pre-trains a tiny NLLB briefly on clean pairs of one part of the grammar, then fine-tunes it on a
corpus of which half was made noise: with `iid`, with `iid` plus the clean pairs that the reference
model learned from, and with `jest`, for equal numbers of trained pairs. Prints a table, and writes
it with the curve to `.demo/`. `--seeds 3` repeats the fine-tuning.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

DIRECTION = "eng_Latn-deu_Latn"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / ".demo", help="where results go")
    parser.add_argument("--seeds", type=int, default=1, help="how often to fine-tune")
    parser.add_argument("--pretrain-steps", type=int, default=150, help="steps of pre-training")
    parser.add_argument(
        "--steps", type=int, default=100, help="steps of fine-tuning, 100 pairs each"
    )
    args = parser.parse_args()

    out: Path = args.out.resolve()

    # Runs of an earlier demo would be resumed, not repeated.
    shutil.rmtree(out / "runs", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)

    os.environ.setdefault("FAIRSEQ2_JEST_CACHE_DIR", str(out / "cache"))

    print("Loading fairseq2; then the built-in corpus is generated and its models are trained.")

    from benchmarks.arms import ArmResult, plot, run_arm, table

    every = max(1, args.steps // 5)

    print("Pre-training on clean pairs of a part of the grammar ...", flush=True)

    pretrained = run_arm(
        "pre-training",
        out / "runs" / "pretrain",
        preset="demo-iid",
        overrides=[
            "dataset.train_split=pretrain",
            f"regime.num_steps={args.pretrain_steps}",
            f"regime.validate_every_n_steps={args.pretrain_steps}",
            f"regime.checkpoint_every_n_steps={args.pretrain_steps}",
        ],
    )

    checkpoints = out / "runs" / "pretrain" / "checkpoints"
    model = checkpoints / f"step_{args.pretrain_steps}" / "model"

    arms = {
        "iid": ("demo-iid", None),
        "iid + the reference's clean pairs": ("demo-iid", _with_trusted_pairs(out)),
        "jest": ("demo-jest", None),
    }

    results: list[ArmResult] = []

    for seed in range(1, args.seeds + 1):
        for name, (preset, file) in arms.items():
            label = name if args.seeds == 1 else f"{name} (seed {seed})"

            print(f"Fine-tuning: {label} ...", flush=True)

            result = run_arm(
                label,
                out / "runs" / f"{preset}-{seed}{'-trusted' if file else ''}",
                preset=preset,
                file=file,
                overrides=[
                    f"model.path={model}",
                    f"common.seed={seed}",
                    f"regime.num_steps={args.steps}",
                    f"regime.validate_every_n_steps={every}",
                    f"regime.checkpoint_every_n_steps={args.steps}",
                    "optimizer.config.lr=0.001",
                ],
            )

            result.save(out / "results" / f"{preset}-{seed}{'-trusted' if file else ''}.json")
            results.append(result)

    print(f"\nBefore fine-tuning: validation loss {pretrained.curve[-1].loss:.3f}\n")

    text = table(results)

    (out / "table.md").write_text(text + "\n", encoding="utf-8")
    plot(results[: len(arms)], out / "curve.png", title="Built-in corpus, half noise")

    print(text)
    print(f"\nThe curve is in {out / 'curve.png'}; every run is under {out / 'runs'}.")


def _with_trusted_pairs(out: Path) -> Path:
    """The pool and, beside it, the pairs that the reference learned from."""
    from fairseq2_jest.embedding.builtin_reference import ReferenceTraining

    def corpus(split: str, **builtin: object) -> dict[str, object]:
        return {
            "split": split,
            "direction": DIRECTION,
            "format": "builtin",
            "builtin": builtin,
        }

    corpora = [
        corpus("train", part="pool", size=30_000, noise_share=0.5),
        corpus("train", part="trusted", size=ReferenceTraining().size),
        corpus("valid", part="valid", size=500),
    ]

    file = out / "with_trusted_pairs.yaml"

    # JSON is YAML.
    file.write_text(
        json.dumps({"dataset": {"config_overrides": {"corpora": corpora}}}), encoding="utf-8"
    )

    return file


if __name__ == "__main__":
    main()
