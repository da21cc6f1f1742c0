"""Files that are there as a whole, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yields where to write what shall take the place of ``file``; who reads that meanwhile, or
    after a kill, finds what was there before.

    A kill leaves a hidden file behind whose name ends in ``.tmp``.

    :raises OSError: It cannot be written.
    """
    # Processes on other machines may have the same number, and threads of one have.
    scratch = file.with_name(f".{file.name}.{token_hex(8)}.tmp")

    try:
        yield scratch

        with scratch.open("rb+") as stream:
            os.fsync(stream.fileno())

        scratch.replace(file)
    except BaseException:
        scratch.unlink(missing_ok=True)

        raise


def write_text(file: Path, text: str) -> None:
    """Writes ``text`` as :func:`replacing` says.

    :raises OSError: It cannot be written.
    """
    with replacing(file) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(file: Path, value: object) -> None:
    """Writes ``value`` as indented JSON, as :func:`write_text` does.

    :raises OSError: It cannot be written.
    """
    write_text(file, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
