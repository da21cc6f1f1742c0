"""One measurement of :mod:`benchmarks.influence.speed`, of a side that needs this environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.influence.speed.kronfluence_side import measure_kronfluence
from benchmarks.influence.speed.measuring import measure
from benchmarks.influence.speed.ours import measure_ours
from benchmarks.influence.speed.sides import KRONFLUENCE, RANKS
from benchmarks.influence.speed.workload import open_workload


def main() -> None:
    side, shape, num_pairs, num_seeds, folder = sys.argv[1:]

    # Behind what is installed.
    sys.path += [path for path in os.environ["EXTRA_PACKAGES"].split(os.pathsep) if path]

    out = Path(folder)

    out.mkdir(parents=True)

    work = open_workload(shape, int(num_pairs), int(num_seeds))

    run = measure_kronfluence if side in KRONFLUENCE else measure_ours

    measure(out, side, shape, lambda: run(work, out, RANKS[side]))


if __name__ == "__main__":
    main()
