"""Kills runs at given moments and resumes them; each run is a fork of a process that has its
imports behind it, since importing fairseq2 takes ten seconds."""

from __future__ import annotations

import multiprocessing
import random
import time
from pathlib import Path

import torch

from tests.integration.runs import chosen, finetune, weights

STEPS = 8

REGIME = (
    f"regime.num_steps={STEPS}",
    "regime.validate_every_n_steps=4",
    "regime.checkpoint_every_n_steps=1",
    "regime.publish_metrics_every_n_steps=1",
)


def run_for(out: Path, seconds: float | None) -> float:
    """Runs in a fork, killed with SIGKILL after ``seconds``; returns how long it ran."""
    process = multiprocessing.get_context("fork").Process(target=finetune, args=(out, *REGIME))

    begin = time.monotonic()

    process.start()
    process.join(seconds)

    if process.exitcode is None:
        process.kill()
        process.join()
    elif process.exitcode != 0:
        raise AssertionError(f"The run failed with exit code {process.exitcode}.")

    return time.monotonic() - begin


def check_kills(folder: Path, *, num_kills: int, seed: int) -> None:
    """Kills runs at random moments, resumes them, and compares with an undisturbed one."""
    duration = run_for(folder / "undisturbed", None)

    moments = random.Random(seed)

    for kill in range(num_kills):
        out = folder / f"killed_{kill}"

        run_for(out, duration * moments.uniform(0.2, 0.95))
        run_for(out, None)

        assert chosen(out) == chosen(folder / "undisturbed"), f"kill {kill}"

        expected, actual = weights(folder / "undisturbed", STEPS), weights(out, STEPS)

        for name, weight in expected.items():
            assert torch.equal(weight, actual[name]), f"kill {kill}: {name}"
