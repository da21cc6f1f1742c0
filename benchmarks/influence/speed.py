"""Influence beside kronfluence's: pairs per second, peak memory, and whether scores agree.

    python -m benchmarks.influence.speed --kronfluence DIR [--pairs N ...] [--turns N]

``DIR`` is a folder that kronfluence was installed into (``pip install --target DIR kronfluence``):
it brings versions of its own of other packages, which stay out of this environment. Both score the
same pairs of the built-in corpus against the same seeds at the same layers of one NLLB with random
weights, whose FFNs are made of PyTorch's linear layers, since those are what kronfluence tracks.
Each measurement is a process of its own with one thread, and the sides take turns; seconds are the
processor's, so that what else a machine does changes them little. Pairs are sorted by length for
kronfluence, whose batches are of a fixed number of pairs. Results go to
``benchmarks/results/influence_speed``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import ROOT
from benchmarks.influence.setup import argument_parser, open_folder
from benchmarks.markdown import markdown_table
from fairseq2_jest.files import write_json

RESULTS = ROOT / "benchmarks" / "results" / "influence_speed"

OURS = "this package"

SIDES = (OURS, "kronfluence, rank 16", "kronfluence, full rank")

_COLUMNS = (
    "pairs",
    "side",
    "turns",
    "curvature",
    "seeds and pool",
    "pairs per second",
    "ours to it",
    "peak memory",
    "correlation with ours",
)


def main() -> None:
    parser = argument_parser("speed", __doc__)
    parser.add_argument("--kronfluence", type=Path, required=True)
    parser.add_argument("--pairs", type=int, nargs="+", default=[1_000])
    parser.add_argument(
        "--alone", type=int, nargs="*", default=[10_000], help="pool sizes of ours only"
    )
    parser.add_argument("--seeds", type=int, default=64)
    parser.add_argument("--shape", default="tiny")
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()

    open_folder(args.out)

    file = RESULTS / f"{args.shape}-{args.seeds}.json"

    runs = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    plan = [(OURS, num_pairs) for num_pairs in args.alone]
    plan += [(side, n) for n in args.pairs for _ in range(args.turns) for side in SIDES]

    with tempfile.TemporaryDirectory(prefix="influence_speed.") as scratch:
        scores: dict[tuple[str, int], Path] = {}

        for number, (side, num_pairs) in enumerate(plan):
            command = [sys.executable, "-m", "benchmarks.influence.speed_side"]
            command += [side, args.shape, str(num_pairs), str(args.seeds), f"{scratch}/{number}"]

            paths = [str(ROOT), *([str(args.kronfluence.resolve())] if side != OURS else [])]

            told = subprocess.run(
                command,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    # What kronfluence brings must not hide what is installed.
                    "PYTHONPATH": paths[0],
                    "EXTRA_PACKAGES": os.pathsep.join(paths[1:]),
                },
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            ).stdout

            run = json.loads(told.splitlines()[-1])

            ours = scores.get((OURS, num_pairs))

            if ours is not None and side != OURS:
                run["correlation"] = _correlation(ours, Path(f"{scratch}/{number}/scores.npy"))

            scores[side, num_pairs] = Path(f"{scratch}/{number}/scores.npy")

            runs.append(run)

            print(json.dumps(run), flush=True)

            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, runs)

    text = table(runs)

    file.with_suffix(".md").write_text(text + "\n", encoding="utf-8")

    print(f"\n{text}")


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """The medians of each side at each size of the pool as a Markdown table.

    The ratio is that of the pairs per second of the pass over the pool, preconditioning the seeds
    included, to those of kronfluence. Memory is the most that was resident, and how much more that
    is than before anything was computed.
    """
    groups: dict[tuple[int, str], list[Mapping[str, Any]]] = {}

    for run in runs:
        groups.setdefault((run["pairs"], run["side"]), []).append(run)

    rows = []

    def rate(group: Sequence[Mapping[str, Any]]) -> float:
        return median(float(run["pairs"] / run["scoring_seconds"]) for run in group)

    for (num_pairs, side), group in sorted(groups.items(), key=lambda item: _place(*item[0])):
        ours = groups.get((num_pairs, OURS))

        rows.append(
            [
                f"{num_pairs:,}",
                side,
                str(len(group)),
                f"{median(run['curvature_seconds'] for run in group):.1f} s",
                f"{median(run['scoring_seconds'] for run in group):.1f} s",
                f"{rate(group):.0f}",
                f"{rate(ours) / rate(group):.1f}" if ours and side != OURS else "",
                f"{median(run['peak_bytes'] for run in group) / 1e6:,.0f} MB"
                f" (+{median(run['peak_bytes'] - run['start_bytes'] for run in group) / 1e6:,.0f})",
                f"{group[-1]['correlation']:.4f}" if "correlation" in group[-1] else "",
            ]
        )

    return markdown_table(_COLUMNS, rows)


def _place(num_pairs: int, side: str) -> tuple[int, int]:
    return num_pairs, SIDES.index(side)


def _correlation(ours: Path, theirs: Path) -> float:
    both = np.stack([np.load(file).ravel() for file in (ours, theirs)])

    return float(np.corrcoef(both)[0, 1])


if __name__ == "__main__":
    main()
