"""Standard input as a file, which can be read again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairseq2.gang import Gang, all_sum
from fairseq2.logging import log

from fairseq2_jest.files import replacing
from fairseq2_jest.translation.errors import TranslationError

STANDARD_INPUT_NAME = "stdin"
"""What messages call it, and its file in the output directory."""


@contextmanager
def save_standard_input(folder: Path, gang: Gang) -> Iterator[Path]:
    """Copies what the first rank's standard input holds into ``folder``; yields the file that all
    ranks read; a collective.

    It is at ``folder / STANDARD_INPUT_NAME`` in the end, if nothing is raised inside the context:
    what an interrupted run has saved there outlives a refusal. Where there is that, a terminal is
    not waited for, and an empty input, such as ``/dev/null``, does not replace it.

    :raises TranslationError: There is none.
    """
    file = folder / STANDARD_INPUT_NAME

    new = file.with_name(f".{file.name}.new")

    try:
        is_new = gang.rank == 0 and _save(new, file)

        is_new = bool(all_sum(gang, int(is_new)))

        yield new if is_new else file

        # All are done with it where it is.
        gang.barrier()

        if is_new and gang.rank == 0:
            new.replace(file)
    finally:
        if gang.rank == 0:
            new.unlink(missing_ok=True)

    gang.barrier()


def _save(new: Path, file: Path) -> bool:
    """Whether there is something to put into the place of ``file``; it is in ``new`` then."""
    stream = sys.stdin

    if stream is None or stream.closed:
        raise TranslationError("There is no standard input; name a file in input.path.")

    is_saved = file.is_file()

    if not (is_saved and stream.isatty()):
        if stream.isatty():
            log.info("Reading lines from the terminal; end them with Ctrl+D.")

        with replacing(new) as scratch, scratch.open("wb") as copy:
            shutil.copyfileobj(stream.buffer, copy)

        if not is_saved or new.stat().st_size > 0:
            return True

    log.info("Going on with the standard input that {} holds.", file)

    return False
