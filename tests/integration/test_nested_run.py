"""A run inside of a run: its processes meet again, wherever other ports are taken."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from pathlib import Path

import torch.distributed as dist
from fairseq2.device import CPU
from fairseq2.gang import ProcessGroupGang
from fairseq2.recipe.config import CommonSection, GangSection
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # Public, says torch.

from fairseq2_jest.recipes.nested_run import run_within
from tests.integration.forked import fork, rank_environments
from tests.unit.cli.tiny_recipe import TinyConfig, TinyRecipe


def test_ranks_of_torchrun_meet_again_where_the_next_port_is_taken(tmp_path: Path) -> None:
    def call() -> None:
        gang = ProcessGroupGang.create_default_process_group(CPU)

        gang.barrier()
        gang.close()

        for turn in range(2):
            config = TinyConfig(
                steps=turn, common=CommonSection(no_sweep_dir=True), gang=GangSection(timeout=1)
            )

            run_within(TinyRecipe(), config, tmp_path / str(turn))

            # As other recipes do at their end.
            dist.destroy_process_group()

    # Its agent has the store, which lives on.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)

    agent = {"MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}

    with socket.socket() as taken:
        # By somebody else already, perhaps.
        with suppress(OSError):
            taken.bind(("", store.port + 1))

        ranks = [fork(call, tmp_path, env | agent) for env in rank_environments(2)]

        for finished in [rank.wait() for rank in ranks]:
            assert finished.code == 0, finished.err[-2000:]

    for turn in range(2):
        folder = tmp_path / str(turn)

        assert json.loads((folder / "out.json").read_text())["steps"] == turn
        assert "Running on 2 process(es)" in (folder / "logs" / "rank_1.log").read_text()
