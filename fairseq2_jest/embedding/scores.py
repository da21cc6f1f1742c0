"""The reference score of each pair of a corpus on disk: the cosine of its two embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.embedding.record_file import RecordFile
from fairseq2_jest.embedding.store import SCHEMA_VERSION, open_identified


class ScoreStore:
    """The float32 scores of all rows, in chunks under one checksum each.

    Use :meth:`open`. A chunk is there as a whole or not at all.
    """

    def __init__(self, file: RecordFile, num_rows: int) -> None:
        self._file = file
        self._num_rows = num_rows

    @classmethod
    def open(
        cls, folder: Path, *, identity: Mapping[str, str], num_rows: int, chunk_size: int
    ) -> ScoreStore:
        """Open the scores for ``identity`` under ``folder``, making them if need be.

        :param identity: All that decides the embeddings.
        :param chunk_size: Rows of a chunk.
        :raises EmbeddingError: The folder cannot be made or read.
        """
        full = {
            **identity,
            "schema": SCHEMA_VERSION,
            "content": "scores",
            "num_rows": str(num_rows),
            "chunk_size": str(chunk_size),
        }
        num_chunks = -(-num_rows // chunk_size)
        file = open_identified(folder, full, num_records=num_chunks, record_size=4 * chunk_size)
        return cls(file, num_rows)

    @property
    def file(self) -> RecordFile:
        """The file underneath, of which a record is a chunk."""
        return self._file

    @property
    def num_chunks(self) -> int:
        return self._file.num_records

    def rows(self, chunk: int) -> NDArray[np.int64]:
        """Return the rows ``(n,)`` of ``chunk``."""
        size = self._file.record_size // 4
        return np.arange(chunk * size, min((chunk + 1) * size, self._num_rows), dtype=np.int64)

    def read(self, chunk: int) -> NDArray[np.float32] | None:
        """Return the scores ``(n,)`` of ``chunk``, ``None`` where they are missing or damaged.

        :raises EmbeddingError: The file cannot be read.
        """
        records, sound = self._file.read(np.array([chunk], dtype=np.int64))
        return records.view("<f4")[0, : len(self.rows(chunk))] if sound[0] else None

    def write(self, chunk: int, scores: NDArray[np.float32]) -> None:
        """Store the scores ``(n,)`` of ``chunk`` in place of those that are there.

        :raises EmbeddingError: The file cannot be written.
        """
        record = np.zeros((1, self._file.record_size // 4), dtype="<f4")
        record[0, : len(scores)] = scores
        self._file.write(np.array([chunk], dtype=np.int64), record.view(np.uint8), replace=True)

    def map(self) -> NDArray[np.float32]:
        """Return the scores of all rows ``(num_rows,)``, memory-mapped and read-only.

        What is missing is 0, and nothing is verified: read all chunks first.

        :raises EmbeddingError: The file cannot be read.
        """
        return self._file.map("<f4")[: self._num_rows]
