"""Aligned text files, TSV and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path

from fairseq2_jest.corpus.cleaning import Reason
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.languages import language_keys
from fairseq2_jest.corpus.lines import count_lines, read_lines
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.records import Record, Reject, excerpt


def _decode(line: bytes | None) -> str | Reason:
    if line is None:
        return Reason.LINE_TOO_LONG
    try:
        return line.decode()
    except UnicodeDecodeError:
        return Reason.NOT_UTF8


class AlignedTextReader:
    """Two files, where line *i* of one translates line *i* of the other."""

    def __init__(self, source: Path, target: Path) -> None:
        self.files: tuple[Path, ...] = (source, target)
        self.names = (str(source), str(target))
        self.sides = (0, 1)
        self.settings: Mapping[str, object] = {}

    def check(self) -> None:
        counts = [count_lines(f) for f in self.files]
        if counts[0] != counts[1]:
            raise CorpusError(
                f"{self.names[0]} has {counts[0]} lines, but {self.names[1]} has {counts[1]}: make "
                "them line-aligned, since no pair after a missing line would be a translation."
            )

    def read(self) -> Iterator[Record | Reject]:
        lines = zip_longest(*(read_lines(f) for f in self.files))
        for number, sides in enumerate(lines, start=1):
            source, target = (_decode(side) for side in sides)
            if isinstance(source, Reason):
                yield Reject(0, number, source, excerpt(sides[0] or b""))
            elif isinstance(target, Reason):
                yield Reject(1, number, target, excerpt(sides[1] or b""))
            else:
                yield Record(number, source, target, None)


class TsvReader:
    """Lines split at tabs. Nothing is quoted: a quotation mark is text."""

    def __init__(
        self,
        path: Path,
        source: int | str,
        target: int | str,
        label: int | str | None,
        num_columns: int | None,
    ) -> None:
        self.files: tuple[Path, ...] = (path,)
        self.names = (str(path),)
        self.sides = (0, 0)
        self.settings: Mapping[str, object] = {
            "columns": [source, target, label],
            "num_columns": num_columns,
        }
        self._path = path
        self._columns = (source, target, label)
        self._num_columns = num_columns

    def check(self) -> None:
        if self._has_header():
            self._layout(next(read_lines(self._path), b""))

    def read(self) -> Iterator[Record | Reject]:
        lines = enumerate(read_lines(self._path), start=1)
        if self._has_header():
            _, header = next(lines, (1, b""))
            (source, target, label), num_columns = self._layout(header)
        else:
            (source, target, label), num_columns = self._layout(None)

        for number, line in lines:
            text = _decode(line)
            if isinstance(text, Reason):
                yield Reject(0, number, text, excerpt(line or b""))
                continue
            if not text.strip():
                yield Reject(0, number, Reason.EMPTY_LINE, "")
                continue
            columns = text.split("\t")
            if len(columns) != num_columns:
                yield Reject(0, number, Reason.COLUMNS, excerpt(text))
                continue
            yield Record(
                number, columns[source], columns[target], None if label is None else columns[label]
            )

    def _has_header(self) -> bool:
        return isinstance(self._columns[0], str)

    def _layout(self, header: bytes | None) -> tuple[tuple[int, int, int | None], int]:
        names = []
        if self._has_header():
            text = _decode(header)
            names = [] if isinstance(text, Reason) else [n.strip() for n in text.split("\t")]
        indices: list[int | None] = []
        for column in self._columns:
            if not isinstance(column, str):
                indices.append(column)
            elif column in names:
                indices.append(names.index(column))
            else:
                raise CorpusError(
                    f"{self._path}:1 has no column '{column}': mend the header line or the "
                    f"column's name; the header has {', '.join(map(repr, names)) or 'none'}."
                )
        source, target, label = indices
        assert source is not None
        assert target is not None
        needed = 1 + max(source, target, -1 if label is None else label)
        num_columns = self._num_columns or len(names) or needed
        if num_columns < needed:
            raise CorpusError(
                f"Column {needed - 1} of {self._path} cannot be read if it has {num_columns} "
                "columns (counted from 0): mend `num_columns` or the column's index."
            )
        return (source, target, label), num_columns


class JsonLinesReader:
    """One JSON object a line.

    Either ``{"translation": {"en": .., "de": ..}}`` or ``{"src": .., "tgt": ..}``.
    """

    def __init__(
        self,
        path: Path,
        direction: Direction,
        source: str | None,
        target: str | None,
        label: str | None,
    ) -> None:
        self.files: tuple[Path, ...] = (path,)
        self.names = (str(path),)
        self.sides = (0, 0)
        self._path = path
        self._source_keys, self._target_keys = pair_keys(direction, source, target)
        self._label = label
        self.settings: Mapping[str, object] = {
            "source": self._source_keys,
            "target": self._target_keys,
            "label": label,
        }

    def check(self) -> None:
        """Nothing: each line stands for itself."""

    def read(self) -> Iterator[Record | Reject]:
        for number, line in enumerate(read_lines(self._path), start=1):
            text = _decode(line)
            found = text if isinstance(text, Reason) else self._parse(text)
            if isinstance(found, Reason):
                yield Reject(0, number, found, excerpt(line or b""))
            else:
                yield Record(number, *found)

    def _parse(self, line: str) -> tuple[str, str, str | None] | Reason:
        if not line.strip():
            return Reason.EMPTY_LINE
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return Reason.NOT_JSON
        if not isinstance(row, dict):
            return Reason.NOT_OBJECT
        texts = row.get("translation", row)
        if not isinstance(texts, dict):
            return Reason.NOT_OBJECT
        source = _first_text(texts, self._source_keys)
        if isinstance(source, Reason):
            return source
        target = _first_text(texts, self._target_keys)
        if isinstance(target, Reason):
            return target
        if self._label is None:
            return source, target, None
        label = _first_text(row, (self._label,))
        if label in (Reason.MISSING_KEY, Reason.NULL):
            return source, target, None
        return label if isinstance(label, Reason) else (source, target, label)


def pair_keys(
    direction: Direction, source: str | None, target: str | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return under which keys the two texts may stand, the likeliest first."""
    sources = ("src", "source", *language_keys(direction.source)) if source is None else (source,)
    targets = ("tgt", "target", *language_keys(direction.target)) if target is None else (target,)
    # Two scripts of one language share the short keys, which then say nothing.
    shared = set(sources) & set(targets)
    return tuple(k for k in sources if k not in shared), tuple(
        k for k in targets if k not in shared
    )


def _first_text(row: dict[str, object], keys: tuple[str, ...]) -> str | Reason:
    for key in keys:
        if key in row:
            value = row[key]
            if isinstance(value, str):
                return value
            return Reason.NULL if value is None else Reason.NOT_TEXT
    return Reason.MISSING_KEY
