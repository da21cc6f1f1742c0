"""What back-translated pairs bring, arm by arm, on real text.

    python -m benchmarks.back_translation [--arms A ...] [--seeds N] [--steps N] [--data DIR]

``DIR`` holds ``multi30k-ende``, ``multi30k-mono-de`` and ``wmt-demo-ende``. A tiny NLLB is
pre-trained on captions, another on other captions from German to English; `mt backtranslate` makes
pairs of captions that Germans wrote; and `mt finetune` trains on 1,500 genuine pairs, on synthetic
ones, or both, for the same number of steps. `mt translate` and the scores of `mt
evaluate` judge. Each result is stored under ``benchmarks/results/back_translation`` as it is done,
so that the sweep can be stopped and continued; the tables are of all that is stored.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import ROOT
from benchmarks.arms import run_arms, run_folder
from benchmarks.back_translation.arms import ARMS, LEADING, UNTUNED, arm
from benchmarks.back_translation.result import Judged, score, synthetic_share
from benchmarks.back_translation.setting import Setting
from benchmarks.back_translation.table import compare, tell, write_counts
from benchmarks.back_translation.text import read_text

RESULTS = ROOT / "benchmarks" / "results" / "back_translation"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.back_translation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / ".demo" / "back_translation")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are stored")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3, help="of the leading arms; others have one")
    parser.add_argument("--pretrain-steps", type=int, default=300)
    parser.add_argument("--steps", type=int, default=75, help="steps of 100 pairs")
    parser.add_argument("--lines", type=int, default=8_000, help="lines to translate back")
    args = parser.parse_args()

    try:
        text = read_text(args.data.resolve(), args.lines)
    except FileNotFoundError as ex:
        print(f"Skipped: there is no {ex.filename}; name the folder of the corpora with --data.")

        return 0

    out, results = args.out.resolve(), args.results.resolve()

    os.environ.setdefault("FAIRSEQ2_JEST_CACHE_DIR", str(out / "cache"))

    setting = Setting(out=out, text=text, num_pretrain_steps=args.pretrain_steps)

    setting.prepare()

    runs = [(name, 1) for name in args.arms]

    runs += [(n, s) for s in range(2, args.seeds + 1) for n in args.arms if n in LEADING]

    judge_base(setting, results)

    for name, seed in runs:
        judge(setting, results, name, seed, args.steps)

        write_counts(setting, results)
        tell(results, args.steps)

    compare(setting, results, args.steps)
    tell(results, args.steps)

    return 0


def judge_base(setting: Setting, results: Path) -> None:
    """Judges the base model as it is, unless that is done."""
    file = results / "untuned.json"

    if file.exists():
        return

    base = setting.base_result

    Judged(
        name=UNTUNED,
        seed=1,
        loss=base.curve[-1].loss,
        best_loss=base.curve[-1].loss,
        scores=score(setting, setting.base),
        synthetic_share=0.0,
        samples=0,
        seconds=0.0,
    ).save(file)


def judge(setting: Setting, results: Path, name: str, seed: int, steps: int) -> None:
    """Trains and judges an arm, unless that is done."""
    run = arm(setting, name, seed, steps)

    file = results / f"{run.key}.json"

    if file.exists():
        return

    (result,) = run_arms([run], setting.out)

    losses = [point.loss for point in result.curve]

    Judged(
        name=name,
        seed=seed,
        loss=losses[-1],
        best_loss=min(losses),
        scores=score(setting, run),
        synthetic_share=synthetic_share(run_folder(setting.out, run)),
        samples=result.samples,
        seconds=result.seconds,
    ).save(file)


if __name__ == "__main__":
    sys.exit(main())
