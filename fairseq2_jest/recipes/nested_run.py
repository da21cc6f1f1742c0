"""A recipe that is run inside of another one's run, by the same processes."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from logging import getLogger
from pathlib import Path

import torch
from fairseq2.logging import log
from fairseq2.recipe.base import Recipe
from fairseq2.recipe.run import run
from rich.logging import RichHandler
from torch.distributed import TCPStore  # type: ignore[attr-defined]  # Public, says torch.
from torch.distributed.rendezvous import rendezvous

_numbers = count()
"""Of the nested runs of this process, the same in all that belong together."""


def run_within(recipe: Recipe, config: object, folder: Path) -> None:
    """Runs a recipe to its end, all processes together, while they have no gang.

    :param folder: Its output directory.
    """
    with _logging_apart() as is_rich, _process_group_apart():
        run(recipe, config, folder, no_rich=not is_rich)

    # Its model is of no use any more, and takes room on the device.
    free_memory()


@contextmanager
def alone() -> Iterator[None]:
    """Inside, whoever asks fairseq2 for a gang without there being one gets that of a single
    process."""
    with _environment(RANK="0", WORLD_SIZE="1"):
        yield


def free_memory() -> None:
    """Gives back what nothing refers to any more."""
    gc.collect()

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def _logging_apart() -> Iterator[bool]:
    """A run in a run has log files of its own, and would close those of the run around it.

    Yields whether that one logs in colours.
    """
    # fairseq2 has the terminal at the one, files at the other.
    loggers = [getLogger(), log.logger]

    kept = [logger.handlers for logger in loggers]

    for logger in loggers:
        logger.handlers = []

    try:
        yield any(isinstance(handler, RichHandler) for handlers in kept for handler in handlers)
    finally:
        for logger, handlers in zip(loggers, kept, strict=True):
            for handler in logger.handlers:
                handler.close()

            logger.handlers = handlers


@contextmanager
def _process_group_apart() -> Iterator[None]:
    """Lets processes meet at a port of their own: where they met once, what they said is still
    there."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield

        return

    # There they tell each other the port; it stays open as long as the name refers to it.
    old, rank, size = next(rendezvous("env://"))

    # That store, torchrun's perhaps, may outlive any number of nested runs.
    key = f"fairseq2_jest/nested_run/{next(_numbers)}"

    if rank == 0:
        new = TCPStore(
            os.environ["MASTER_ADDR"],
            0,
            size,
            is_master=True,
            wait_for_workers=False,
            # The process group takes it over, since it is in the same process.
            multi_tenant=True,
        )

        old.set(key, str(new.port))

    with _environment(
        MASTER_PORT=old.get(key).decode("ascii"), TORCHELASTIC_USE_AGENT_STORE="False"
    ):
        yield


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}

    os.environ.update(values)

    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
