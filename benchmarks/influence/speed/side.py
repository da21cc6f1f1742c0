"""One measurement of :mod:`benchmarks.influence.speed`, of a side that needs this environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.influence.speed.kronfluence_side import measure_kronfluence
from benchmarks.influence.speed.measuring import Measured, measure
from benchmarks.influence.speed.ours import measure_ours
from benchmarks.influence.speed.sides import DISCARDED, KRONFLUENCE, RANKS
from benchmarks.influence.speed.workload import open_workload


def main() -> None:
    side, shape, num_pairs, num_seeds, folder = sys.argv[1:]

    # Behind what is installed.
    sys.path += [path for path in os.environ["EXTRA_PACKAGES"].split(os.pathsep) if path]

    out = Path(folder)

    out.mkdir(parents=True)

    work = open_workload(shape, int(num_pairs), int(num_seeds))

    def run() -> Measured:
        if side in KRONFLUENCE:
            return measure_kronfluence(work, out, RANKS[side])

        return measure_ours(work, out, DISCARDED[side])

    measure(out, side, shape, run)


if __name__ == "__main__":
    main()
