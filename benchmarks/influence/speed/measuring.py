"""Measuring one side, in a process of its own; imported in the environments of all sides."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.influence.speed.sides import Job


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one side took and found; seconds are the processor's, of the one thread."""

    curvature_seconds: float
    scoring_seconds: float
    scores: np.ndarray[Any, np.dtype[np.float32]]
    """``g_t^T (H + damping)^-1 g_m`` of all pairs and seeds, negated. *Shape:* ``(N, T)``."""


def scores_file(out: Path) -> Path:
    return out / "scores.npy"


def measure(out: Path, side: str, job: Job, run: Callable[[], Measured]) -> None:
    """Runs a side, whose model and pairs are loaded, and prints what it took as a line of JSON."""
    start = _peak()

    measured = run()

    np.save(scores_file(out), measured.scores)

    num_pairs, num_seeds = measured.scores.shape

    print(
        json.dumps(
            {
                "side": side,
                "shape": job.shape,
                "pairs": num_pairs,
                "seeds": num_seeds,
                "damping": job.damping,
                "curvature_seconds": measured.curvature_seconds,
                "scoring_seconds": measured.scoring_seconds,
                "start_bytes": start,
                "peak_bytes": _peak(),
            }
        )
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
