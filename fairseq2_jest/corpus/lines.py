"""The lines of a text file, plain or compressed, as bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fairseq2_jest.corpus.config import compression_of
from fairseq2_jest.corpus.errors import CorpusError

MAX_LINE_BYTES = 1 << 20
"""No text that a model could read is longer; a file without line ends must not fill the memory."""

_BUFFER_SIZE = 1 << 20
_BOM = b"\xef\xbb\xbf"


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while ``path`` is read into a sentence that names it.

    :raises CorpusError: If the file is missing, unreadable, cut short or not what its name says.
    """
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise CorpusError(
            f"The corpus file {path} does not exist; mend the path (relative paths start from "
            f"{Path.cwd()})."
        ) from None
    except IsADirectoryError:
        raise CorpusError(f"{path} is a folder; name a corpus file in it.") from None
    except PermissionError:
        raise CorpusError(f"{path} cannot be read: permission denied; mend its mode.") from None
    except (OSError, EOFError, pa.ArrowException) as ex:
        raise CorpusError(
            f"{path} is damaged or not in the format that its name says, so fetch or make it again "
            f"({' '.join(str(ex).split())})."
        ) from ex


def open_bytes(path: Path) -> BinaryIO:
    """Open ``path`` for reading, decompressing ``.gz`` and ``.zst``.

    Arrow's streams raise an error where a compressed file is cut short, which the ``zstandard``
    package's reader does not.
    """
    compression = compression_of(path)
    if compression is None:
        return open(path, "rb", buffering=_BUFFER_SIZE)
    if path.stat().st_size == 0:
        raise EOFError("an empty file is not a compressed one")

    import pyarrow as pa

    stream = pa.input_stream(str(path), compression=compression)
    return io.BufferedReader(stream, _BUFFER_SIZE)


def count_lines(path: Path) -> int:
    """Return the number of lines of ``path``, as :func:`read_lines` yields them."""
    count, last = 0, b"\n"
    with reading(path), open_bytes(path) as stream:
        while block := stream.read(_BUFFER_SIZE):
            count += block.count(b"\n")
            last = block[-1:]
    return count + (last != b"\n")


def read_lines(path: Path) -> Iterator[bytes | None]:
    """Yield the lines of ``path`` without their ends; ``None`` for one over ``MAX_LINE_BYTES``.

    A line ends at ``\\n`` or ``\\r\\n`` and nowhere else. A UTF-8 byte order mark at the start of
    the file is left out.

    :raises CorpusError: See :func:`reading`.
    """
    with reading(path), open_bytes(path) as stream:
        is_first = True
        while line := stream.readline(MAX_LINE_BYTES):
            if is_first:
                is_first = False
                line = line.removeprefix(_BOM)
            if line.endswith(b"\n"):
                yield line[:-2] if line.endswith(b"\r\n") else line[:-1]
            elif len(line) < MAX_LINE_BYTES - len(_BOM):
                yield line.removesuffix(b"\r")
            else:
                _skip_line(stream)
                yield None


def _skip_line(stream: BinaryIO) -> None:
    while rest := stream.readline(MAX_LINE_BYTES):
        if rest.endswith(b"\n"):
            return
