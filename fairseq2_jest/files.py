"""Files that are there as a whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_text(file: Path, text: str) -> None:
    """Writes ``text`` to the disk; who reads the file meanwhile, or after a kill, finds what was
    there before.

    :raises OSError: It cannot be written.
    """
    scratch = file.with_name(f".{file.name}.{os.getpid()}.tmp")

    with scratch.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()

        os.fsync(stream.fileno())

    scratch.replace(file)
