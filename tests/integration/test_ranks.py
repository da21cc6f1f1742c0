"""Data parallel runs: each rank is a fork of this process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from fairseq2_jest.selection.errors import ResumeError
from tests.integration.forked import Forked, fork, rank_environments
from tests.integration.runs import chosen, finetune

STEPS = 3

# Without dropout and at learning rate 0 the learner is the same whatever the number of ranks.
FIXED = (
    f"regime.num_steps={STEPS}",
    "regime.validate_every_n_steps=2",
    "regime.checkpoint_every_n_steps=2",
    "regime.publish_metrics_every_n_steps=1",
    "optimizer.config.lr=0.0",
    "model.config_overrides.dropout_p=0.0",
    # Slices of a super-batch then differ in their number of passes, which FSDP must not mind.
    "dataset.max_num_tokens=96",
)


def is_refused(out: Path, *overrides: str) -> None:
    with pytest.raises(ResumeError, match=r"was saved by 2 rank\(s\) and cannot go on with 3"):
        finetune(out, *overrides)


def start(
    num_ranks: int, out: Path, *overrides: str, call: Callable[..., None] = finetune
) -> list[Forked]:
    return [
        fork(partial(call, out, *FIXED, *overrides), out.parent, env)
        for env in rank_environments(num_ranks)
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    out = tmp_path_factory.mktemp("alone") / "run"

    (rank,) = start(1, out)

    assert rank.wait().code == 0

    return chosen(out)


@pytest.mark.parametrize("parallelism", ["ddp", "fsdp"])
@pytest.mark.parametrize("num_ranks", [2, 3])
def test_all_ranks_choose_what_one_chooses(
    num_ranks: int, parallelism: str, alone: list[dict[str, object]], tmp_path: Path
) -> None:
    out = tmp_path / "run"

    ranks = start(num_ranks, out, f"trainer.data_parallelism={parallelism}")

    for rank in ranks:
        finished = rank.wait()

        assert finished.code == 0, finished.err[-2000:]

    assert len(alone) == STEPS
    assert chosen(out) == alone


def test_fewer_ranks_may_go_on_and_more_are_refused(
    alone: list[dict[str, object]], tmp_path: Path
) -> None:
    out = tmp_path / "run"

    for rank in start(2, out, "regime.num_steps=2"):
        assert rank.wait().code == 0

    for rank in start(3, out, call=is_refused):
        assert rank.wait().code == 0

    (one,) = start(1, out)

    assert one.wait().code == 0
    assert chosen(out) == alone


def test_a_rank_that_dies_ends_the_others(tmp_path: Path) -> None:
    out = tmp_path / "run"

    first, second = start(2, out, "regime.num_steps=100000", "regime.validate_every_n_steps=null")

    log = out / "selection.jsonl"

    while not (log.exists() and log.stat().st_size > 0):
        assert first.process.is_alive() and second.process.is_alive()

        time.sleep(0.1)

    assert second.process.pid is not None

    os.kill(second.process.pid, signal.SIGKILL)

    first.process.join(60)

    ended = not first.process.is_alive()

    first.process.kill()

    assert second.wait().code == -signal.SIGKILL
    assert first.wait().code != 0
    assert ended
