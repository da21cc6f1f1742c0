"""Standard input as a file, which can be read again."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from fairseq2.gang import Gang
from fairseq2.logging import log

from fairseq2_jest.files import replacing
from fairseq2_jest.translation.errors import TranslationError

STANDARD_INPUT_NAME = "stdin"
"""What messages call it, and its file in the output directory."""


def save_standard_input(folder: Path, gang: Gang) -> Path:
    """Copies what the first rank's standard input holds into ``folder``, for all ranks.

    A terminal is not waited for where an interrupted run has saved its input.

    :raises TranslationError: There is none.
    """
    file = folder / STANDARD_INPUT_NAME

    if gang.rank == 0:
        _save(file)

    gang.barrier()

    return file


def _save(file: Path) -> None:
    stream = sys.stdin

    if stream is None or stream.closed:
        raise TranslationError("There is no standard input; name a file in input.path.")

    if stream.isatty():
        if file.is_file():
            log.info("Going on with the standard input that {} holds.", file)

            return

        log.info("Reading lines from the terminal; end them with Ctrl+D.")

    with replacing(file) as scratch, scratch.open("wb") as copy:
        shutil.copyfileobj(stream.buffer, copy)
