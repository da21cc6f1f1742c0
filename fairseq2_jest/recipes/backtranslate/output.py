"""What leaves a back-translation: the pairs, a config that trains on them, all rejects."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from fairseq2_jest.corpus.cleaning import Reason, normalize_text
from fairseq2_jest.corpus.manifest import REJECTS_NAME
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.prepare import PreparedCorpus, reject_line
from fairseq2_jest.corpus.records import Reject, excerpt
from fairseq2_jest.files import replacing
from fairseq2_jest.translation.errors import writing

_ROWS_AT_ONCE = 8192

_SCHEMA = pa.schema([("source", pa.string()), ("target", pa.string()), ("line", pa.int64())])

CONFIG_NAME = "synthetic.yaml"


class SyntheticPair(NamedTuple):
    """A line of monolingual text, and what it was translated back to."""

    line: int
    """Where the target stands in its file, from 1."""

    source: str
    target: str


class SyntheticCorpus:
    """The pairs of one direction in an output directory; they appear when all are there."""

    def __init__(self, folder: Path, direction: Direction, prepared: PreparedCorpus) -> None:
        """
        :param prepared: The lines that the targets are from, and the rejects before translation.
        """
        self.file = folder / f"synthetic.{direction}.parquet"
        self.config_file = folder / CONFIG_NAME
        self.rejects_file = folder / REJECTS_NAME
        self.num_pairs = 0

        self._direction = direction
        self._prepared = prepared
        self._rows: list[SyntheticPair] = []
        self._table: Any = None
        self._rejects: IO[str] | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """While pairs and rejects are added.

        :raises fairseq2_jest.translation.errors.TranslationError: A file cannot be written.
        """
        # They take their places from the last to the first: what the config names is there.
        with (
            writing(self.file),
            replacing(self.config_file) as config,
            replacing(self.file) as table,
            replacing(self.rejects_file) as rejects,
        ):
            # The lines that were not translated come first.
            shutil.copyfile(self._prepared.folder / REJECTS_NAME, rejects)

            with (
                pq.ParquetWriter(table, _SCHEMA) as self._table,
                rejects.open("a", encoding="utf-8", newline="\n") as self._rejects,
            ):
                yield

                self._flush()

            config.write_text(self._config(), encoding="utf-8")

    def add(self, pair: SyntheticPair) -> None:
        """Adds a pair to train on."""
        self._rows.append(pair)

        self.num_pairs += 1

        if len(self._rows) == _ROWS_AT_ONCE:
            self._flush()

    def reject(self, pair: SyntheticPair, reason: Reason) -> None:
        """Writes down that a pair is left out; the excerpt is of its source."""
        assert self._rejects is not None

        reject = Reject(0, pair.line, reason, excerpt(pair.source or pair.target))

        self._rejects.write(reject_line(reject, self._prepared.manifest.names))

    def _flush(self) -> None:
        lines, sources, targets = zip(*self._rows, strict=True) if self._rows else ((), (), ())

        self._table.write_batch(
            pa.record_batch([list(sources), list(targets), list(lines)], schema=_SCHEMA)
        )

        self._rows.clear()

    def _config(self) -> str:
        names = ", ".join(map(normalize_text, self._prepared.manifest.names))

        # Two lists, for this one to go together with whatever corpora another config names.
        return (
            "# fairseq2 mt finetune OUT --preset PRESET --config-file YOURS --config-file THIS: "
            "trains on\n"
            f"# synthetic pairs, too, made of {names}. How many for each of your own: "
            "dataset.synthetic_ratio.\n"
            "\n"
            "dataset:\n"
            "  config_overrides:\n"
            "    synthetic_corpora:\n"
            "      - split: train\n"
            f"        direction: {self._direction}\n"
            f"        path: ${{dir}}/{self.file.name}\n"
            "        synthetic: true\n"
        )
