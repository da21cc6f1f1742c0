"""Writing translations down: one line for each line of the input, in its order."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

from typing_extensions import override

from fairseq2_jest.corpus.config import compression_of
from fairseq2_jest.files import replacing
from fairseq2_jest.translation.config import OutputConfig, TextFormat
from fairseq2_jest.translation.errors import TranslationError, writing
from fairseq2_jest.translation.result import Hypothesis, Translation
from fairseq2_jest.translation.source import JsonLinesSource, SourceFile, SourceLine


class Renderer(ABC):
    """Makes a line of the output."""

    def __init__(self, config: OutputConfig) -> None:
        self.config = config

    def header(self) -> str | None:
        """The first line, where the format has one."""
        return None

    @abstractmethod
    def render(self, line: SourceLine, translation: Translation) -> str:
        """The line of the output for a line of the input."""


class TextRenderer(Renderer):
    """The translation and nothing else."""

    @override
    def render(self, line: SourceLine, translation: Translation) -> str:
        return translation.text


class TsvRenderer(Renderer):
    """The columns of the input, or the source, and behind them each translation and its score."""

    def __init__(self, config: OutputConfig, header: Sequence[str] | None) -> None:
        super().__init__(config)

        self._header = header

    @override
    def header(self) -> str | None:
        return None if self._header is None else "\t".join([*self._header, *self.names])

    @property
    def names(self) -> list[str]:
        """The columns that are added."""
        names, num_hypotheses = [], self.config.num_hypotheses

        for number in range(1, num_hypotheses + 1):
            tail = "" if num_hypotheses == 1 else f"_{number}"

            names += [f"{self.config.column}{tail}"]
            names += [f"score{tail}"] if self.config.scores else []

        return names

    @override
    def render(self, line: SourceLine, translation: Translation) -> str:
        # Plain text has none, and the keys of an object are none.
        is_bare = not line.fields or isinstance(line.fields, Mapping)

        columns = [line.text] if is_bare else list(line.fields)

        # What was an empty line stays one.
        if columns == [""]:
            return ""

        for number in range(self.config.num_hypotheses):
            found = translation.hypotheses[number : number + 1]

            columns.append(found[0].text if found else "")

            if self.config.scores:
                columns.append(str(found[0].score) if found else "")

        return "\t".join(columns)


class JsonLinesRenderer(Renderer):
    """The object of the input, or one with the source, and in it the translation."""

    @override
    def render(self, line: SourceLine, translation: Translation) -> str:
        if not line.fields and not line.text:
            return ""

        row = dict(line.fields) if isinstance(line.fields, dict) else {"source": line.text}

        row[self.config.column] = translation.text

        if self.config.num_hypotheses > 1:
            row["hypotheses"] = [self._hypothesis(h) for h in translation.hypotheses]
        elif self.config.scores:
            row["score"] = translation.hypotheses[0].score if translation.hypotheses else None

        return json.dumps(row, ensure_ascii=False)

    def _hypothesis(self, hypothesis: Hypothesis) -> dict[str, object]:
        row: dict[str, object] = {"text": hypothesis.text}

        return {**row, "score": hypothesis.score} if self.config.scores else row

    @property
    def keys(self) -> list[str]:
        """The keys that are added to an object."""
        if self.config.num_hypotheses > 1:
            return [self.config.column, "hypotheses"]

        return [self.config.column, *(["score"] if self.config.scores else [])]


def create_renderer(config: OutputConfig, format_: TextFormat, source: SourceFile) -> Renderer:
    """What writes ``format_`` for the lines of ``source``, which refuses keys that would clash.

    :raises TranslationError: Plain text is asked for what it cannot hold, or a column is taken.
    """
    if format_ == "text":
        if config.num_hypotheses > 1 or config.scores:
            raise TranslationError(
                "output.format is text, which has room for one translation a line and no score; "
                "set output.format to tsv or jsonl."
            )

        return TextRenderer(config)

    if format_ == "tsv":
        columns = TsvRenderer(config, source.header)

        for name in columns.names:
            if name in (source.header or ()):
                raise TranslationError(
                    f"{source.name}:1 has the column '{name}' already, where the translation is to "
                    "go; set output.column to another."
                )

        return columns

    renderer = JsonLinesRenderer(config)

    if isinstance(source, JsonLinesSource):
        source.reserved = renderer.keys

    return renderer


def write_output(path: Path, lines: Iterable[str]) -> None:
    """Writes ``lines`` to ``path``, compressed if its name says so; it appears when it is whole.

    :raises TranslationError: It cannot be written.
    """
    # What goes wrong where ``lines`` come from is told there.
    with (
        writing(path),
        replacing(path) as scratch,
        closing(_open(scratch, compression_of(path))) as stream,
    ):
        for line in lines:
            stream.write(line.encode() + b"\n")


def _open(path: Path, compression: str | None) -> BinaryIO:
    if compression is None:
        return path.open("wb", buffering=1 << 20)

    import io

    import pyarrow as pa

    return io.BufferedWriter(pa.output_stream(str(path), compression=compression), 1 << 20)
