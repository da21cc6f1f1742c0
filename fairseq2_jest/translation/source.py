"""The lines to translate, whatever file they stand in."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from typing_extensions import override

from fairseq2_jest.corpus.cleaning import Reason, normalize_text, text_damage
from fairseq2_jest.corpus.languages import language_keys
from fairseq2_jest.corpus.lines import MAX_LINE_BYTES, read_lines, reading
from fairseq2_jest.corpus.manifest import file_sha256
from fairseq2_jest.translation.config import InputConfig, input_format
from fairseq2_jest.translation.errors import LineError, TranslationError


class SourceLine(NamedTuple):
    """One line of the input."""

    text: str
    """What is translated, on one line; may be empty."""

    fields: Sequence[str] | Mapping[str, object]
    """All that stands in the line: the columns of a ``tsv`` line, the object of a ``jsonl`` line;
    empty for a blank line and in plain text."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one reading of the whole input found."""

    num_lines: int
    """The lines to translate, without a header."""

    sha256: str
    """Of the bytes of the file."""

    stamp: tuple[int, int]
    """Size and time of the file, by which a later change is seen."""


class SourceFile(ABC):
    """Reads the lines of a file, in order, holding one at a time."""

    header: Sequence[str] | None = None
    """The names of the columns, where the file gives them."""

    def __init__(self, path: Path, name: str) -> None:
        """
        :param name: What messages call the file.
        """
        self.path = path
        self.name = name

    def read(self) -> Iterator[SourceLine]:
        """Yields every line.

        :raises TranslationError: A line cannot be read; file, line and reason are named.
        :raises CorpusError: The file cannot be read.
        """
        for number, line in self.numbered():
            yield self.parse(number, line)

    def numbered(self) -> Iterator[tuple[int, bytes | None]]:
        """Yields every line but the header, with its number; ``None`` for one that is too long.

        :raises CorpusError: The file cannot be read.
        """
        for number, line in enumerate(self._lines(), start=1):
            if self.header is None or number > 1:
                yield number, line

    def parse(self, number: int, line: bytes | None) -> SourceLine:
        """Takes a line apart.

        :raises LineError: It cannot be read; file, line and reason are named.
        """
        if line is None:
            raise self._error(
                number, f"is longer than {MAX_LINE_BYTES:,} bytes", Reason.LINE_TOO_LONG
            )

        try:
            decoded = line.decode()
        except UnicodeDecodeError as ex:
            raise self._error(
                number, f"is not UTF-8 (byte {ex.start + 1} of the line)", Reason.NOT_UTF8
            ) from ex

        source = SourceLine("", []) if self._is_blank(decoded) else self._parse(decoded, number)

        if damage := text_damage(source.text):
            raise self._error(number, f"cannot be translated ({damage.value})", damage)

        return SourceLine(normalize_text(source.text), source.fields)

    def blocks(self, size: int) -> Iterator[list[SourceLine]]:
        """Yields the lines, so many at a time."""
        lines = self.read()

        while block := list(islice(lines, size)):
            yield block

    def survey(self) -> Survey:
        """Reads all there is, so that what is wrong with it is known before a model is loaded.

        :raises TranslationError: A line cannot be read.
        :raises CorpusError: The file cannot be read.
        """
        num_lines = sum(1 for _ in self.read())

        with reading(self.path):
            stamp, sha256 = self._stamp(), file_sha256(self.path)

        return Survey(num_lines=num_lines, sha256=sha256, stamp=stamp)

    def check_unchanged(self, survey: Survey) -> None:
        """
        :raises TranslationError: The file is not what was surveyed.
        """
        with reading(self.path):
            if self._stamp() == survey.stamp:
                return

        raise TranslationError(
            f"{self.name} was changed while it was translated; let it be, and start anew with "
            "another output directory."
        )

    def _stamp(self) -> tuple[int, int]:
        stat = self.path.stat()

        return stat.st_size, stat.st_mtime_ns

    def _lines(self) -> Iterator[bytes | None]:
        return read_lines(self.path)

    def _is_blank(self, line: str) -> bool:
        return not line.strip()

    @abstractmethod
    def _parse(self, line: str, number: int) -> SourceLine:
        """Takes apart a line that is not blank."""

    def _error(self, number: int, fault: str, reason: Reason) -> LineError:
        return LineError(
            f"{self.name}:{number} {fault}; mend or remove that line, for there is a translation "
            "of each.",
            reason,
        )


class TextSource(SourceFile):
    """A line is a text."""

    @override
    def _parse(self, line: str, number: int) -> SourceLine:
        return SourceLine(line, [])


class TsvSource(SourceFile):
    """Lines split at tabs. Nothing is quoted: a quotation mark is text."""

    def __init__(
        self, path: Path, name: str, column: int | str, field: str = "input.column"
    ) -> None:
        """
        :param field: What gives ``column``, for messages.
        """
        super().__init__(path, name)

        if isinstance(column, str):
            self.header = self._read_header()

            if column not in self.header:
                raise TranslationError(
                    f"{name}:1 has no column '{column}': mend the header line or {field}; "
                    f"the header has {', '.join(map(repr, self.header)) or 'none'}. Without a "
                    "header, a column is an index from 0."
                )

            column = self.header.index(column)

        self._column = column

    @override
    def _is_blank(self, line: str) -> bool:
        # A line of tabs has columns, though empty ones.
        return not line.strip(" ")

    def _read_header(self) -> list[str]:
        first = next(self._lines(), b"") or b""

        # What is not UTF-8 is told with its line when it is read.
        return [name.strip() for name in first.decode(errors="replace").split("\t")]

    @override
    def _parse(self, line: str, number: int) -> SourceLine:
        fields = line.split("\t")

        if self._column >= len(fields):
            raise self._error(
                number,
                f"has {len(fields)} column(s), and none with the index {self._column}",
                Reason.COLUMNS,
            )

        if self.header is not None and len(fields) != len(self.header):
            raise self._error(
                number,
                f"has {len(fields)} column(s), but the header has {len(self.header)}",
                Reason.COLUMNS,
            )

        return SourceLine(fields[self._column], fields)


class JsonLinesSource(SourceFile):
    """A line is a JSON object, ``{"src": ..}`` or ``{"translation": {"en": ..}}``."""

    reserved: Sequence[str] = ()
    """Keys that no object may have, since the output has them."""

    def __init__(self, path: Path, name: str, keys: Sequence[str]) -> None:
        """
        :param keys: Under which the text may stand, the likeliest first.
        """
        super().__init__(path, name)

        self._keys = keys

    @override
    def _parse(self, line: str, number: int) -> SourceLine:
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            raise self._error(number, "is not JSON", Reason.NOT_JSON) from None

        inner = fields.get("translation", fields) if isinstance(fields, dict) else None

        # It may be the translation itself.
        texts = inner if isinstance(inner, dict) else fields

        if not isinstance(texts, dict):
            raise self._error(number, "is not a JSON object", Reason.NOT_OBJECT)

        for key in self.reserved:
            if key in fields:
                raise TranslationError(
                    f"{self.name}:{number} has the key '{key}' already, where the translation is "
                    "to go; set output.column to another."
                )

        for key in self._keys:
            if key in texts:
                text = texts[key]

                if not isinstance(text, str):
                    raise self._error(number, f"has no text under '{key}'", Reason.NOT_TEXT)

                return SourceLine(text, fields)

        raise self._error(
            number,
            f"has none of the keys {', '.join(map(repr, self._keys))}",
            Reason.MISSING_KEY,
        )


def open_source(
    config: InputConfig, path: Path, source_lang: str, *, name: str | None = None
) -> SourceFile:
    """The reader of a file.

    :param path: The file, which standard input was saved to where ``config`` names none.
    :param source_lang: The language code, under which the text may stand in ``jsonl``.
    :param name: What messages call the file, its path by default.

    :raises TranslationError: The header of the file lacks the column, or it is a pipe.
    :raises CorpusError: The file cannot be read.
    """
    name = name or str(path)

    if path.exists() and not path.is_file() and not path.is_dir():
        raise TranslationError(
            f"{name} is not a file that can be read more than once; leave input.path out, and pipe "
            "it into standard input."
        )

    match input_format(config):
        case "text":
            return TextSource(path, name)
        case "tsv":
            return TsvSource(path, name, 0 if config.column is None else config.column)
        case _:
            if isinstance(config.column, str):
                return JsonLinesSource(path, name, (config.column,))

            return JsonLinesSource(path, name, ("src", "source", *language_keys(source_lang)))
