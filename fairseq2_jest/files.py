"""Files that are there as a whole, or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from secrets import token_hex


def write_text(file: Path, text: str) -> None:
    """Writes ``text`` to the disk; who reads the file meanwhile, or after a kill, finds what was
    there before.

    :raises OSError: It cannot be written.
    """
    # Processes on other machines may have the same number, and threads of one have.
    scratch = file.with_name(f".{file.name}.{token_hex(8)}.tmp")

    with scratch.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()

        os.fsync(stream.fileno())

    scratch.replace(file)


def write_json(file: Path, value: object) -> None:
    """Writes ``value`` as indented JSON, as :func:`write_text` does.

    :raises OSError: It cannot be written.
    """
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
