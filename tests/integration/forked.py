"""The program in a fork of the test process, which has its imports behind it: importing fairseq2
takes ten seconds a process, and fairseq2 changes the state of the process it runs in."""

from __future__ import annotations

import gc
import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

# For what it imports, which every fork then has.
from tests.integration import runs as _imports_fairseq2  # noqa: F401


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What is left of a process."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, kw_only=True)
class Forked:
    """A process on its way."""

    process: BaseProcess
    outputs: tempfile.TemporaryDirectory[str]

    def wait(self) -> Finished:
        with self.outputs as outputs:
            self.process.join()

            assert self.process.exitcode is not None

            out, err = (Path(outputs, name).read_text(encoding="utf-8") for name in ("1", "2"))

        return Finished(code=self.process.exitcode, out=out, err=err)


def fork(call: Callable[[], object], folder: Path, env: Mapping[str, str] | None = None) -> Forked:
    """Calls ``call`` in a fork whose current directory is ``folder``."""
    outputs = tempfile.TemporaryDirectory()

    process = multiprocessing.get_context("fork").Process(
        target=_redirected, args=(call, folder, outputs.name, dict(env or {}))
    )

    process.start()

    return Forked(process=process, outputs=outputs)


def rank_environments(num_ranks: int) -> list[dict[str, str]]:
    """What torchrun tells each of so many processes on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))

        port = free.getsockname()[1]

    return [
        {
            "WORLD_SIZE": str(num_ranks),
            "LOCAL_WORLD_SIZE": str(num_ranks),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        for rank in range(num_ranks)
    ]


def start_program(*args: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> Forked:
    """Starts ``fairseq2 ARGS`` in a fork."""

    def call() -> None:
        from fairseq2_jest.cli.main import main

        sys.argv = ["fairseq2", *map(str, args)]

        main()

    return fork(call, folder, env)


def run_program(*args: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Runs ``fairseq2 ARGS`` in a fork."""
    return start_program(*args, folder=folder, env=env).wait()


def _redirected(
    call: Callable[[], object], folder: Path, outputs: str, env: dict[str, str]
) -> None:
    import torch

    # A collection would touch, and so copy, all that is shared with the parent.
    gc.freeze()

    # The threads of the parent do not exist here, and waiting for them would never end. With the
    # variable set, fairseq2 leaves their number alone.
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"

    for fd in (1, 2):
        os.dup2(os.open(Path(outputs, str(fd)), os.O_WRONLY | os.O_CREAT), fd)

    # What pytest put there would take what is written.
    with (
        open(1, "w", encoding="utf-8", closefd=False) as sys.stdout,
        open(2, "w", encoding="utf-8", closefd=False, buffering=1) as sys.stderr,
    ):
        os.environ.update(env)
        os.chdir(folder)

        call()
