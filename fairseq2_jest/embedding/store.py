"""Embeddings of the rows of one corpus side on disk, filled in any order as rows are met."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.precision import PRECISIONS, Precision, PrecisionName
from fairseq2_jest.embedding.record_file import RecordFile
from fairseq2_jest.files import write_json

SCHEMA_VERSION = "2"


def identity_digest(identity: Mapping[str, str]) -> str:
    """Return 32 hex digits that stand for ``identity``, whatever the order of its keys."""
    text = json.dumps(dict(identity), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class EmbeddingStore:
    """Maps the row ``0 <= row < num_rows`` of one corpus side to its vector of ``dim`` values.

    Use :meth:`open`. What a row once holds it keeps, whoever else writes it, until it is damaged:
    see :mod:`fairseq2_jest.embedding.record_file`, also for memory, processes and kills.
    """

    def __init__(self, file: RecordFile, dim: int, precision: Precision) -> None:
        self._file = file
        self._dim = dim
        self._precision = precision

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        identity: Mapping[str, str],
        dim: int,
        num_rows: int,
        precision: PrecisionName = "float16",
    ) -> EmbeddingStore:
        """Open the store for ``identity`` under ``folder``, making it if need be.

        :param identity: All that decides the vectors (corpus content, side, encoder and its
            revision). Another identity, ``dim``, ``num_rows`` or ``precision`` is another store.
        :raises EmbeddingError: The folder cannot be made or read.
        """
        codec = PRECISIONS[precision]
        full = {
            **identity,
            "schema": SCHEMA_VERSION,
            "precision": codec.name,
            "dim": str(dim),
            "num_rows": str(num_rows),
        }
        file = open_identified(
            folder, full, num_records=num_rows, record_size=codec.record_size(dim)
        )
        return cls(file, dim, codec)

    @property
    def file(self) -> RecordFile:
        """The file underneath, of which a record is a row."""
        return self._file

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self._dim

    @property
    def num_rows(self) -> int:
        """How many rows the corpus has."""
        return self._file.num_records

    def lookup(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return what the store holds for ``rows``.

        :param rows: ``(n,)``, repeats allowed.
        :returns: The vectors ``(n, dim)``, zeros where there is none, and ``(n,)`` whether
            there is one. Each checksum has been verified; a damaged row counts as missing.
        :raises EmbeddingError: A row is out of range, or the file cannot be read.
        """
        self._check_rows(rows)
        records, found = self._file.read(rows)
        return self._precision.unpack(records, self._dim), found

    def missing(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the distinct ``rows``, ascending, that the store lacks or holds damaged."""
        self._check_rows(rows)
        distinct = np.unique(rows)
        _, found = self._file.read(distinct)
        return distinct[~found]

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the vectors ``(n, dim)`` of ``rows``.

        :raises EmbeddingError: As :meth:`lookup`, or a row is missing.
        """
        vectors, found = self.lookup(rows)
        if not found.all():
            row = int(rows[np.argmin(found)])
            raise EmbeddingError(
                f"The embedding store {self._file.path} holds no sound vector for row {row}: "
                "fill it first; if it was filled, check the disk."
            )
        return vectors

    def write(self, rows: NDArray[np.int64], vectors: NDArray[np.floating]) -> None:
        """Store ``vectors`` ``(n, dim)``, rounded, for those distinct ``rows`` that lack one.

        All or nothing: after a kill either every row of the call is there or none.

        :raises EmbeddingError: Shapes do not fit, a row is out of range or named twice, a
            value is not finite, or the disk refuses.
        """
        self._check_rows(rows)
        if vectors.shape != (len(rows), self._dim):
            raise EmbeddingError(
                f"{len(rows)} rows of a store of dimension {self._dim} need vectors of shape "
                f"({len(rows)}, {self._dim}), but got {vectors.shape}."
            )
        if len(np.unique(rows)) != len(rows):
            raise EmbeddingError("Each row must be written once in a call: remove the repeats.")
        if len(rows) > 0:
            self._file.write(rows, self._precision.pack(vectors))

    def _check_rows(self, rows: NDArray[np.int64]) -> None:
        if rows.ndim != 1 or rows.dtype != np.int64:
            raise EmbeddingError(
                f"Rows must be a vector of int64, but are {rows.dtype} of shape {rows.shape}."
            )
        if len(rows) > 0 and (rows.min() < 0 or rows.max() >= self.num_rows):
            bad = int(rows.min()) if rows.min() < 0 else int(rows.max())
            raise EmbeddingError(
                f"Row {bad} is outside the corpus, whose rows are 0 to {self.num_rows - 1}."
            )


def open_identified(
    folder: Path, identity: Mapping[str, str], *, num_records: int, record_size: int
) -> RecordFile:
    """Open the file of ``identity`` in a folder of its own under ``folder``.

    :raises EmbeddingError: It cannot be made or read.
    """
    digest = identity_digest(identity)
    own = folder / digest
    file = RecordFile.open(
        own / "records.bin",
        key=bytes.fromhex(digest),
        num_records=num_records,
        record_size=record_size,
    )
    # For the people who look into the cache: nothing here is read back.
    note = own / "identity.json"
    try:
        if not note.exists():
            write_json(note, dict(sorted(identity.items())))
    except OSError as ex:
        raise EmbeddingError(
            f"{note} cannot be written ({ex.strerror}): mend its permissions, or name another "
            "cache folder in FAIRSEQ2_JEST_CACHE_DIR."
        ) from ex
    return file
