"""From a corpus's config to its reader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from fairseq2_jest.corpus.builtin.config import BuiltinConfig
from fairseq2_jest.corpus.config import CorpusConfig, compression_of, corpus_format, tsv_columns
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.languages import language_keys
from fairseq2_jest.corpus.pair import Direction, parse_direction
from fairseq2_jest.corpus.parquet_reader import ParquetReader
from fairseq2_jest.corpus.records import Reader, Record, Reject
from fairseq2_jest.corpus.text_readers import AlignedTextReader, JsonLinesReader, TsvReader


class BuiltinReader:
    """The built-in corpus, generated while it is read, from English or into it."""

    def __init__(self, config: BuiltinConfig, direction: Direction) -> None:
        from fairseq2_jest.corpus.builtin import VERSION

        self.files: tuple[Path, ...] = ()
        self.names = ("the built-in corpus",)
        self.sides = (0, 0)
        self.settings: Mapping[str, object] = {"builtin": asdict(config), "version": VERSION}
        self._config = config
        self._is_reversed = "eng" in language_keys(direction.target)

    def check(self) -> None:
        """Nothing: the generator refuses a config that it cannot meet."""

    def read(self) -> Iterator[Record | Reject]:
        from fairseq2_jest.corpus.builtin import generate

        for number, (source, target, label) in enumerate(generate(self._config), start=1):
            if self._is_reversed:
                source, target = target, source

            yield Record(number, source, target, label)


def open_reader(config: CorpusConfig) -> Reader:
    """Return the reader of ``config``; no file is opened yet.

    :raises CorpusError: If ``config`` is not valid.
    """
    result = config.validate()
    if result.has_error():
        raise CorpusError(f"A corpus of the split '{config.split}' is not valid: {result}")

    direction = parse_direction(config.direction)
    source, target, label = (
        column if isinstance(column, str) else None
        for column in (config.source_column, config.target_column, config.label_column)
    )
    match corpus_format(config):
        case "text":
            return AlignedTextReader(_path(config.source), _path(config.target))
        case "tsv":
            return TsvReader(_path(config.path), *tsv_columns(config), config.num_columns)
        case "jsonl":
            return JsonLinesReader(_path(config.path), direction, source, target, label)
        case "parquet":
            return ParquetReader(_path(config.path), direction, source, target, label)
        case _:
            assert config.builtin is not None
            return BuiltinReader(config.builtin, direction)


def reader_key(config: CorpusConfig, reader: Reader) -> dict[str, object]:
    """Return what decides the rows of the table beside the bytes of the files, ready for JSON."""
    return {
        "format": corpus_format(config),
        "direction": config.direction,
        "compressions": [compression_of(f) for f in reader.files],
        **reader.settings,
    }


def _path(path: Path | None) -> Path:
    assert path is not None
    return path.expanduser()
