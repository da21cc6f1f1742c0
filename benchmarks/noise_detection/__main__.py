"""How well scores of a pair tell good web-crawled pairs from bad ones, as judged by people.

    python -m benchmarks.noise_detection [--data DIR] [--corpora DIR]

``DIR`` holds ``train.{en,de}`` and ``train.labels.tsv`` of ParaCrawl's human evaluation, where V
(valid) and F (free translation) count as good, A (wrong alignment) and L (wrong language) as bad.
Each score is the area under its ROC curve: the chance that a good pair scores above a bad one. A
score that counts *against* a pair is turned round, always as the package's selectors count it. All
intervals are bootstrap 95 % ones over the same resamples of pairs. The table, and what held, go to
``benchmarks/results/noise_detection/``.

The references are bags of token vectors, each trained on the spot on pairs of other corpora. The
learner is a tiny NLLB at a quarter of its training on the same trusted pairs as the largest
reference, and the trusted model is what it is at the end; no model sees a judged pair, and nothing
is chosen by the labels.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks import ROOT
from benchmarks.bitext import Pair
from benchmarks.noise_detection.comparison import compare, table, verdict
from benchmarks.noise_detection.influence import influence_scores
from benchmarks.noise_detection.models import train_models
from benchmarks.noise_detection.pairs import Judged, read_judged, read_trusted
from benchmarks.noise_detection.scores import BASELINE, all_trusted, score_all
from fairseq2_jest.files import write_json

RESULTS: Final = ROOT / "benchmarks" / "results" / "noise_detection"


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.noise_detection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = ROOT.parent / "shared/data"
    parser.add_argument("--data", type=Path, default=shared / "paracrawl-judged-ende")
    parser.add_argument("--corpora", type=Path, default=shared, help="folder of the other corpora")
    parser.add_argument("--steps", type=int, default=120, help="of training the trusted model")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument(
        "--influence-only",
        action="store_true",
        help="add the rows of influence to the results that are there",
    )
    args = parser.parse_args()

    if not (args.data / "train.labels.tsv").is_file():
        print(f"Skipped: there are no judged pairs at {args.data}; name their folder with --data.")

        return 0

    torch.set_num_threads(1)

    judged = read_judged(args.data)

    trusted = read_trusted(args.corpora)

    # Nobody is to be asked about a pair it has seen.
    sides = {side.casefold() for pair in judged.pairs for side in pair}

    for name, pairs in trusted.items():
        trusted[name] = [pair for pair in pairs if not sides & {side.casefold() for side in pair}]

    with tempfile.TemporaryDirectory(prefix="noise_detection.") as scratch:
        if args.influence_only:
            rows, caption = _add_influence(args, judged, trusted, Path(scratch))
        else:
            scores, notes = score_all(judged, trusted, Path(scratch), args.steps)

            rows = compare(judged.is_good, scores)

            num_good = int(judged.is_good.sum())

            caption = (
                f"{num_good:,} good pairs (V, F) against {len(judged.is_good) - num_good:,} bad "
                f"ones (A, L). {notes}"
            )

    text = f"{caption}\n\n{table(rows)}\n\n{verdict(rows)}"

    print(f"\n{text}")

    args.out.mkdir(parents=True, exist_ok=True)

    (args.out / "table.md").write_text(f"{text}\n", encoding="utf-8")
    write_json(args.out / "results.json", {"caption": caption, "rows": rows})

    return 0


def _add_influence(
    args: argparse.Namespace, judged: Judged, trusted: Mapping[str, Sequence[Pair]], scratch: Path
) -> tuple[list[dict[str, Any]], str]:
    stored = json.loads((args.out / "results.json").read_text(encoding="utf-8"))

    everything = all_trusted(trusted)

    models = train_models(everything, judged.pairs, scratch, args.steps)

    scores = influence_scores(models, judged.pairs, everything, scratch)

    # The first is what others are compared with, over the same resamples.
    rows = compare(judged.is_good, {BASELINE: judged.bicleaner, **scores})[1:]

    kept = [row for row in stored["rows"] if row["name"] not in scores]

    return [*kept, *rows], stored["caption"]


if __name__ == "__main__":
    sys.exit(main())
