"""The prepared form of a corpus: an Arrow file on disk, of which a row is an index."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.pair import CLEAN_LABEL

_BATCH_ROWS = 1 << 15
_BATCH_CHARS = 1 << 24
_MAX_LABELS = 1000

_SCHEMA = pa.schema(
    [
        pa.field("source", pa.large_string(), nullable=False),
        pa.field("target", pa.large_string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("label", pa.dictionary(pa.int16(), pa.string())),
    ]
)


class TableWriter:
    """Writes a table row by row, holding one batch of rows in memory."""

    def __init__(self, path: Path) -> None:
        self._sink = pa.OSFile(str(path), "wb")
        # A later batch may bring a label that earlier ones lack. The dictionary must not start
        # empty, or Arrow takes what is added to it for another dictionary.
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        self._writer = pa.ipc.new_file(self._sink, _SCHEMA, options=options)
        self._codes: dict[str, int] = {CLEAN_LABEL: 0}
        self._rows: list[tuple[str, str, int, int | None]] = []
        self._num_chars = 0

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._flush()
            self._writer.close()
        finally:
            self._sink.close()

    def write(self, source: str, target: str, line: int, label: str | None) -> None:
        """Add a row.

        :raises CorpusError: If there are too many different labels for them to be labels.
        """
        code = None
        if label is not None:
            code = self._codes.setdefault(label, len(self._codes))
            if code >= _MAX_LABELS:
                raise CorpusError(
                    f"The corpus has more than {_MAX_LABELS} different labels, the latest "
                    f"'{label[:40]}' in line {line}: check that `label_column` names the labels."
                )
        self._rows.append((source, target, line, code))
        self._num_chars += len(source) + len(target)
        if len(self._rows) >= _BATCH_ROWS or self._num_chars >= _BATCH_CHARS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        sources, targets, lines, codes = zip(*self._rows, strict=True)
        labels = pa.DictionaryArray.from_arrays(
            pa.array(codes, pa.int16()), pa.array(list(self._codes), pa.string())
        )
        columns = [
            pa.array(sources, pa.large_string()),
            pa.array(targets, pa.large_string()),
            pa.array(lines, pa.int64()),
            labels,
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=_SCHEMA))
        self._rows.clear()
        self._num_chars = 0


class CorpusTable:
    """A table opened through a memory map: the operating system keeps in memory what is in use.

    Rows are counted from 0. Row numbers must be in range.
    """

    def __init__(self, path: Path) -> None:
        file = pa.ipc.open_file(pa.memory_map(str(path)))
        self._batches = [file.get_batch(i) for i in range(file.num_record_batches)]
        sizes = [b.num_rows for b in self._batches]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
        self._texts = [tuple(_text_buffers(b.column(i)) for i in (0, 1)) for b in self._batches]

    def __len__(self) -> int:
        return int(self._starts[-1])

    def texts(self, rows: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        """Return the source and the target texts of ``rows`` (*N*)."""
        outputs: tuple[list[str], list[str]] = ([""] * len(rows), [""] * len(rows))
        for batch, places, local in self._by_batch(rows):
            for output, (offsets, data) in zip(outputs, self._texts[batch], strict=True):
                bounds = zip(offsets[local].tolist(), offsets[local + 1].tolist(), strict=True)
                for place, (start, end) in zip(places.tolist(), bounds, strict=True):
                    output[place] = str(data[start:end], "utf-8")
        return outputs

    def lines(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the lines (from 1) that ``rows`` (*N*) came from."""
        output = np.empty(len(rows), dtype=np.int64)
        for batch, places, local in self._by_batch(rows):
            output[places] = self._batches[batch].column(2).to_numpy()[local]
        return output

    def labels(self, rows: NDArray[np.int64]) -> list[str | None]:
        """Return the labels of ``rows`` (*N*)."""
        output: list[str | None] = [None] * len(rows)
        for batch, places, local in self._by_batch(rows):
            labels = self._batches[batch].column(3).take(pa.array(local)).to_pylist()
            for place, label in zip(places.tolist(), labels, strict=True):
                output[place] = label
        return output

    def _by_batch(
        self, rows: NDArray[np.int64]
    ) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64]]]:
        if not len(rows):
            return
        batches = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(batches, kind="stable")
        cuts = np.flatnonzero(np.diff(batches[order])) + 1
        for begin, end in pairwise([0, *cuts.tolist(), len(rows)]):
            places = order[begin:end]
            batch = int(batches[places[0]])
            yield batch, places, rows[places] - self._starts[batch]


def _text_buffers(column: Any) -> tuple[NDArray[np.int64], memoryview]:
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, dtype=np.int64, count=len(column) + 1, offset=8 * column.offset)
    return bounds, memoryview(data)
