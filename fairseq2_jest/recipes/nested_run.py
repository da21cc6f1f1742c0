"""A recipe that is run inside of another one's run, by the same processes."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from pathlib import Path

import torch
from fairseq2.logging import log
from fairseq2.recipe.base import Recipe
from fairseq2.recipe.run import run
from rich.logging import RichHandler


def run_within(recipe: Recipe, config: object, folder: Path) -> None:
    """Runs a recipe to its end, all processes together, while they have no gang.

    :param folder: Its output directory.
    """
    with _logging_apart() as is_rich, _process_group_apart():
        run(recipe, config, folder, no_rich=not is_rich)

    # Its model is of no use any more, and takes room on the device.
    free_memory()


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
    """Lets processes meet at the next port: where they met once, what they said is still there."""
    before = {
        name: os.environ.get(name) for name in ("MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE")
    }

    if before["MASTER_PORT"] is not None:
        os.environ["MASTER_PORT"] = str(int(before["MASTER_PORT"]) + 1)
        os.environ["TORCHELASTIC_USE_AGENT_STORE"] = "False"

    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
