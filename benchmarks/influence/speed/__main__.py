"""Influence beside its peers': pairs per second, peak memory, and whether scores agree.

    python -m benchmarks.influence.speed --kronfluence DIR [--pairs N ...] [--turns N]
    python -m benchmarks.influence.speed --shape llama --bergson PYTHON [--kronfluence DIR] ...

``DIR`` is a folder that kronfluence was installed into (``pip install --target DIR kronfluence``):
it brings versions of its own of other packages, which stay out of this environment. ``PYTHON`` is
that of an environment with bergson (``python -m venv DIR; DIR/bin/pip install bergson``), which
wants a later transformers than fairseq2 does, and knows decoder-only models of transformers alone.

All score the same pairs of the built-in corpus against the same seeds at the same layers of one
model. It is the tiny NLLB of these benchmarks after its warm-up, or a larger one with random
weights (``small``), whose FFNs are made of PyTorch's linear layers, since those are what
kronfluence tracks; or a LLaMA of transformers' with random weights, given the paper's prompt
(``llama``) or nothing but the target (``llama-bare``). What a prompt puts into the factors no
setting of theirs changes: nothing with ours, the gradients at it with kronfluence, its inputs, too,
with bergson. Without prompts all compute the same, which ``--whole`` shows: it has ours leave
nothing out, too. Weights matter: what is trained needs fewer dimensions than what is random.

Each measurement is a process of its own with one thread, and the sides take turns; seconds are the
processor's, so that what else a machine does changes them little. Pairs are sorted by length for
kronfluence, whose batches are of a fixed number of pairs; ours are tokenised as they are scored,
those of the others beforehand. Results go to ``benchmarks/results/influence_speed``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import ROOT
from benchmarks.influence.setup import argument_parser, open_folder, warm_up, write_splits
from benchmarks.influence.speed.measuring import scores_file
from benchmarks.influence.speed.sides import (
    BERGSON,
    KRONFLUENCE,
    OURS,
    OURS_WHOLE,
    SHAPES,
    WHOLE,
    Job,
)
from benchmarks.influence.speed.table import table
from fairseq2_jest.files import write_json

RESULTS: Final = ROOT / "benchmarks" / "results" / "influence_speed"


def main() -> None:
    parser = argument_parser("speed", __doc__)
    parser.add_argument("--kronfluence", type=Path, help="folder that it was installed into")
    parser.add_argument("--bergson", type=Path, help="Python of its environment")
    parser.add_argument("--pairs", type=int, nargs="*", default=[1_000])
    parser.add_argument(
        "--alone", type=int, nargs="*", default=[10_000], help="pool sizes of ours only"
    )
    parser.add_argument("--seeds", type=int, default=256)
    parser.add_argument("--damping", type=float, default=10.0, help="by the mean eigenvalue")
    parser.add_argument("--shape", choices=SHAPES, default="tiny")
    parser.add_argument("--whole", action="store_true", help="ours with nothing left out, too")
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args()

    if args.bergson and SHAPES[args.shape].kind != "llama":
        parser.error(f"bergson has no models such as {args.shape}; add --shape llama")

    peers = [*(KRONFLUENCE if args.kronfluence else ()), *([BERGSON] if args.bergson else ())]

    if not peers:
        parser.error("name a peer: --kronfluence, --bergson or both")

    sides = [OURS, *([OURS_WHOLE] if args.whole else ()), *peers]

    out = open_folder(args.out)

    checkpoint = str(warm_up(out, write_splits(out))) if SHAPES[args.shape].trained else None

    file = RESULTS / f"{args.shape}-{args.seeds}-{args.damping:g}.json"

    runs = json.loads(file.read_text(encoding="utf-8")) if file.exists() else []

    plan = [(OURS, num_pairs) for num_pairs in args.alone]

    plan += [(side, num_pairs) for num_pairs in args.pairs for side in sides * args.turns]

    with tempfile.TemporaryDirectory(prefix="influence_speed.") as scratch:
        bench = Bench(
            Job(
                shape=args.shape,
                num_pairs=0,
                num_seeds=args.seeds,
                damping=args.damping,
                checkpoint=checkpoint,
            ),
            kronfluence=args.kronfluence and args.kronfluence.resolve(),
            bergson=args.bergson and args.bergson.absolute(),
            scratch=Path(scratch),
        )

        for side, num_pairs in plan:
            runs.append(bench.run(side, num_pairs))

            print(json.dumps(runs[-1]), flush=True)

            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, runs)

    text = table(runs)

    file.with_suffix(".md").write_text(text + "\n", encoding="utf-8")

    print(f"\n{text}")


class Bench:
    """Starts a process for each measurement."""

    def __init__(
        self, job: Job, *, kronfluence: Path | None, bergson: Path | None, scratch: Path
    ) -> None:
        """
        :param job: All but how many pairs.
        :param kronfluence: The folder that it was installed into.
        :param bergson: The Python of its environment.
        """
        self._job = job
        self._kronfluence = kronfluence
        self._bergson = bergson
        self._scratch = scratch

        self._num_runs = 0
        self._ours: dict[tuple[int, str], Path] = {}

    def run(self, side: str, num_pairs: int) -> dict[str, Any]:
        """What :func:`~benchmarks.influence.speed.measuring.measure` prints of a side, and how its
        scores correlate with the last of ours."""
        out = self._scratch / str(self._num_runs)

        self._num_runs += 1

        job = replace(self._job, num_pairs=num_pairs)

        if side == BERGSON:
            told = self._run_bergson(job, out)
        else:
            extra = str(self._kronfluence) if side in KRONFLUENCE else ""

            told = self._start("side", side, job, out, extra_packages=extra)

        found: dict[str, Any] = json.loads(told.splitlines()[-1])

        scores = scores_file(out)

        for key, ours in (("correlation", OURS), ("correlation_of_whole", OURS_WHOLE)):
            if side == ours:
                self._ours[num_pairs, ours] = scores
            elif (num_pairs, ours) in self._ours and (ours == OURS or side in WHOLE):
                found[key] = _correlation(self._ours[num_pairs, ours], scores)

        return found

    def _run_bergson(self, job: Job, out: Path) -> str:
        handed_over = self._scratch / f"pairs-{job.num_pairs}"

        if not handed_over.exists():
            self._start("handover", job, handed_over)

        return self._start("bergson_side", job, handed_over, out, python=self._bergson)

    def _start(
        self, module: str, *arguments: object, python: Path | None = None, extra_packages: str = ""
    ) -> str:
        """Runs one of these modules with one thread, and returns what it printed."""
        return subprocess.run(
            [python or sys.executable, "-m", f"{__package__}.{module}", *map(str, arguments)],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "CUDA_VISIBLE_DEVICES": "",
                # Nothing is downloaded; what is cached goes when the benchmark ends.
                "HF_HUB_OFFLINE": "1",
                "HF_HOME": str(self._scratch / "hugging_face"),
                # What kronfluence brings must not hide what is installed.
                "PYTHONPATH": str(ROOT),
                "EXTRA_PACKAGES": extra_packages,
            },
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        ).stdout


def _correlation(ours: Path, theirs: Path) -> float:
    both = np.stack([np.load(file).ravel() for file in (ours, theirs)])

    return float(np.corrcoef(both)[0, 1])


if __name__ == "__main__":
    main()
