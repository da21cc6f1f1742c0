"""What every reader yields, and what a reader is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from fairseq2_jest.corpus.cleaning import Reason, normalize_text

_EXCERPT_CHARS = 80


class Record(NamedTuple):
    """One line of a corpus, read but not yet cleaned."""

    line: int
    """Counted from 1: a line of a file, a row of a Parquet table, a generated pair."""

    source: str
    target: str
    label: str | None


class Reject(NamedTuple):
    """One line of a corpus that is not used."""

    file: int
    """Index into :attr:`Reader.names`."""

    line: int
    reason: Reason
    excerpt: str


class Reader(Protocol):
    """A corpus in some format."""

    @property
    def names(self) -> tuple[str, ...]:
        """What messages call the files (or what there is in their place)."""

    @property
    def sides(self) -> tuple[int, int]:
        """Indices into ``names``: where the source is, where the target is."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The files whose bytes decide what is read."""

    @property
    def settings(self) -> Mapping[str, object]:
        """What else decides what is read, ready for JSON."""

    def check(self) -> None:
        """Refuse what would make every row of the table wrong, before one is written.

        :raises CorpusError: If the corpus as a whole cannot be used.
        """

    def read(self) -> Iterator[Record | Reject]:
        """Yield every line, in order, exactly once.

        :raises CorpusError: If a file cannot be read to its end.
        """


def excerpt(value: bytes | str) -> str:
    """Return the start of ``value`` on one printable line."""
    if isinstance(value, bytes):
        text = value[: 4 * _EXCERPT_CHARS].decode(errors="backslashreplace")
    else:
        text = value[:_EXCERPT_CHARS].encode(errors="backslashreplace").decode()
    return normalize_text(text).replace("\0", "\\x00")[:_EXCERPT_CHARS]
