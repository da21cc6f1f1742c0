"""The program in a fork of the test process, which has its imports behind it: importing fairseq2
takes ten seconds a process, and fairseq2 changes the state of the process it runs in."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.integration import runs as _imports_fairseq2  # noqa: F401


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What is left of a process."""

    code: int
    out: str
    err: str


def run_forked(
    call: Callable[[], object], folder: Path, env: Mapping[str, str] | None = None
) -> Finished:
    """Calls ``call`` in a fork whose current directory is ``folder``."""
    output, error = folder / ".stdout", folder / ".stderr"

    process = multiprocessing.get_context("fork").Process(
        target=_redirected, args=(call, folder, output, error, dict(env or {}))
    )

    process.start()
    process.join()

    assert process.exitcode is not None

    result = Finished(
        code=process.exitcode,
        out=output.read_text(encoding="utf-8"),
        err=error.read_text(encoding="utf-8"),
    )

    output.unlink()
    error.unlink()

    return result


def run_program(*args: str | Path, folder: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Runs ``fairseq2 ARGS`` in a fork."""

    def call() -> None:
        from fairseq2_jest.cli.main import main

        sys.argv = ["fairseq2", *map(str, args)]

        main()

    return run_forked(call, folder, env)


def _redirected(
    call: Callable[[], object], folder: Path, output: Path, error: Path, env: dict[str, str]
) -> None:
    import torch

    # The threads of the parent do not exist here.
    torch.set_num_threads(1)

    for fd, file in ((1, output), (2, error)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), fd)

    # What pytest put there would take what is written.
    with (
        open(1, "w", encoding="utf-8", closefd=False) as sys.stdout,
        open(2, "w", encoding="utf-8", closefd=False, buffering=1) as sys.stderr,
    ):
        os.environ.update(env)
        os.chdir(folder)

        call()
