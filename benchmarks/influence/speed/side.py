"""One measurement of :mod:`benchmarks.influence.speed`, of a side that needs this environment."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from benchmarks.influence.speed.kronfluence_side import measure_kronfluence
from benchmarks.influence.speed.measuring import Measured, measure
from benchmarks.influence.speed.ours import measure_ours
from benchmarks.influence.speed.sides import DISCARDED, KRONFLUENCE, RANKS, Job
from benchmarks.influence.speed.workload import open_workload


def main() -> None:
    side, told, folder = sys.argv[1:]

    # Behind what is installed.
    sys.path += [path for path in os.environ["EXTRA_PACKAGES"].split(os.pathsep) if path]

    job, out = Job.parse(told), Path(folder)

    out.mkdir(parents=True)

    work = open_workload(job)

    def run() -> Measured:
        if side in KRONFLUENCE:
            return measure_kronfluence(work, out, job.damping, RANKS[side])

        return measure_ours(work, out, job.damping, DISCARDED[side])

    measure(out, side, job, run)


if __name__ == "__main__":
    main()
