"""Embeddings of the rows of one corpus side on disk, filled in any order as rows are met.

A store is a folder of segments, append-only logs of blocks. Each process writes to a segment
of its own, so that several runs share a store without locks; all segments are merged when a
store is opened. A block is one call of :meth:`EmbeddingStore.write`::

    magic 8 bytes | count uint32 | header digest 16 bytes | row ids int64[count]
    count records: vector float16[dim] | crc32 uint32 of the row id and the vector

The header digest covers count and row ids and is keyed with the identity of the store: a
segment that belongs to another store, or was copied here by hand, is never read. A block is
appended whole: one that a kill cut short does not count, so that the rows of one call are
stored all or none. The record checksums are verified at every read; a row whose record is
damaged is missing again, and is written anew by whoever fills the store.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.embedding.errors import EmbeddingError

SCHEMA_VERSION = "1"

_MAGIC = b"\x93F2JEST\n"
_COUNT = struct.Struct("<I")
_CRC = struct.Struct("<I")
_DIGEST_SIZE = 16
_HEADER_SIZE = len(_MAGIC) + _COUNT.size + _DIGEST_SIZE
_SCAN_CHUNK = 1 << 20

# The index packs where a record lies into one int64: 16 bits of segment, 47 of byte offset.
_OFFSET_BITS = 47
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_MAX_SEGMENTS = 1 << (63 - _OFFSET_BITS)


def identity_digest(identity: Mapping[str, str]) -> str:
    """Return 32 hex digits that stand for ``identity``, whatever the order of its keys."""
    text = json.dumps(dict(identity), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class EmbeddingStore:
    """Maps the row ``0 <= row < num_rows`` of one corpus side to its vector of ``dim`` float16.

    Use :meth:`open`. Memory is 8 bytes a row. One instance serves one thread; any number of
    processes may hold the same store open, and each sees what was there when it opened it
    and what it wrote itself.
    """

    def __init__(self, folder: Path, key: bytes, dim: int, num_rows: int) -> None:
        self._folder = folder
        self._key = key
        self._dim = dim
        self._num_rows = num_rows
        self._record_size = 2 * dim + _CRC.size
        self._index: NDArray[np.int64] = np.full(num_rows, -1, dtype=np.int64)
        self._segments: list[Path] = []
        self._own_segment: int | None = None

    @classmethod
    def open(
        cls, folder: Path, *, identity: Mapping[str, str], dim: int, num_rows: int
    ) -> EmbeddingStore:
        """Open the store for ``identity`` under ``folder``, making it if need be.

        :param identity: All that decides the vectors (corpus content, side, encoder and its
            revision, precision). Another identity, ``dim`` or ``num_rows`` is another store.
        :raises EmbeddingError: The folder cannot be made or read.
        """
        full = {
            **identity,
            "schema": SCHEMA_VERSION,
            "dtype": "float16",
            "dim": str(dim),
            "num_rows": str(num_rows),
        }
        digest = identity_digest(full)
        store = cls(folder / digest, bytes.fromhex(digest), dim, num_rows)
        try:
            store._folder.mkdir(parents=True, exist_ok=True)
            # For the people who look into the cache: nothing here is read back.
            note = store._folder / "identity.json"
            if not note.exists():
                note.write_text(json.dumps(full, indent=2, sort_keys=True) + "\n")
            for path in sorted(store._folder.glob("segment-*.bin")):
                store._add_segment(path)
        except OSError as ex:
            raise EmbeddingError(
                f"The embedding store {store._folder} cannot be opened ({ex.strerror}): make it "
                "readable and writable, or name another cache folder in FAIRSEQ2_JEST_CACHE_DIR."
            ) from ex
        return store

    @property
    def dim(self) -> int:
        """The length of a vector."""
        return self._dim

    @property
    def num_rows(self) -> int:
        """How many rows the corpus has."""
        return self._num_rows

    def lookup(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        """Return what the store holds for ``rows``.

        :param rows: ``(n,)``, repeats allowed.
        :returns: The vectors ``(n, dim)``, zeros where there is none, and ``(n,)`` whether
            there is one. Each checksum has been verified; a damaged row counts as missing.
        :raises EmbeddingError: A row is out of range, or a segment cannot be read.
        """
        self._check_rows(rows)
        vectors = np.zeros((len(rows), self._dim), dtype=np.float16)
        found = np.zeros(len(rows), dtype=np.bool_)
        places = self._index[rows]
        # In the order of the disk, a segment at a time: no descriptor outlives the call.
        order = np.argsort(places, kind="stable")
        order = order[places[order] >= 0]
        segment_of = places[order] >> _OFFSET_BITS
        for segment in np.unique(segment_of):
            where = order[segment_of == segment]
            self._read_segment(self._segments[int(segment)], rows, places, where, vectors, found)
        return vectors, found

    def missing(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the distinct ``rows``, ascending, that the store lacks or holds damaged."""
        distinct = np.unique(rows)
        _, found = self.lookup(distinct)
        return distinct[~found]

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the vectors ``(n, dim)`` of ``rows``.

        :raises EmbeddingError: As :meth:`lookup`, or a row is missing.
        """
        vectors, found = self.lookup(rows)
        if not found.all():
            row = int(rows[np.argmin(found)])
            raise EmbeddingError(
                f"The embedding store {self._folder} holds no sound vector for row {row}: "
                "fill it first."
            )
        return vectors

    def write(self, rows: NDArray[np.int64], vectors: NDArray[np.floating]) -> None:
        """Store ``vectors`` ``(n, dim)``, rounded to float16, for the distinct ``rows`` ``(n,)``.

        All or nothing: after a kill either every row of the call is there or none.

        :raises EmbeddingError: Shapes do not fit, a row is out of range or named twice, a
            value is not finite in float16, or the disk refuses.
        """
        self._check_rows(rows)
        if vectors.shape != (len(rows), self._dim):
            raise EmbeddingError(
                f"{len(rows)} rows of a store of dimension {self._dim} need vectors of shape "
                f"({len(rows)}, {self._dim}), but got {vectors.shape}."
            )
        if len(np.unique(rows)) != len(rows):
            raise EmbeddingError("Each row must be written once in a call: remove the repeats.")
        with np.errstate(over="ignore"):
            halves = np.ascontiguousarray(vectors, dtype="<f2")
        if not np.isfinite(halves).all():
            raise EmbeddingError(
                "Embeddings hold values that are not finite in float16: normalise them first."
            )
        if len(rows) > 0:
            self._append(rows, halves)

    def _check_rows(self, rows: NDArray[np.int64]) -> None:
        if rows.ndim != 1 or rows.dtype != np.int64:
            raise EmbeddingError(
                f"Rows must be a vector of int64, but are {rows.dtype} of shape {rows.shape}."
            )
        if len(rows) > 0 and (rows.min() < 0 or rows.max() >= self._num_rows):
            bad = int(rows.min()) if rows.min() < 0 else int(rows.max())
            raise EmbeddingError(
                f"Row {bad} is outside the corpus, whose rows are 0 to {self._num_rows - 1}."
            )

    def _read_segment(
        self,
        path: Path,
        rows: NDArray[np.int64],
        places: NDArray[np.int64],
        where: NDArray[np.intp],
        vectors: NDArray[np.float16],
        found: NDArray[np.bool_],
    ) -> None:
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            self._index[rows[where]] = -1
            return
        except OSError as ex:
            raise EmbeddingError(f"{path} cannot be read ({ex.strerror}).") from ex
        try:
            for i in where:
                row = int(rows[i])
                record = os.pread(fd, self._record_size, int(places[i]) & _OFFSET_MASK)
                vector = record[: -_CRC.size]
                if len(record) != self._record_size or record[-_CRC.size :] != _crc(row, vector):
                    self._index[row] = -1
                    continue
                vectors[i] = np.frombuffer(vector, dtype="<f2")
                found[i] = True
        except OSError as ex:
            raise EmbeddingError(f"{path} cannot be read ({ex.strerror}).") from ex
        finally:
            os.close(fd)

    def _append(self, rows: NDArray[np.int64], halves: NDArray[np.float16]) -> None:
        ids = rows.astype("<i8").tobytes()
        count = _COUNT.pack(len(rows))
        parts = [_MAGIC, count, self._header_digest(count, ids), ids]
        for row, vector in zip(rows.tolist(), halves, strict=True):
            data = vector.tobytes()
            parts += [data, _crc(row, data)]
        block = b"".join(parts)

        if self._own_segment is None:
            name = f"segment-{time.time_ns():020d}-{uuid.uuid4().hex}.bin"
            self._own_segment = self._new_segment(self._folder / name)
        path = self._segments[self._own_segment]
        try:
            start = _append_whole(path, block)
        except OSError as ex:
            raise EmbeddingError(
                f"{path} cannot be written ({ex.strerror}): make room, or name another cache "
                "folder in FAIRSEQ2_JEST_CACHE_DIR."
            ) from ex
        self._index_block(self._own_segment, start, rows)

    def _header_digest(self, count: bytes, ids: bytes) -> bytes:
        return hashlib.blake2b(count + ids, digest_size=_DIGEST_SIZE, key=self._key).digest()

    def _new_segment(self, path: Path) -> int:
        if len(self._segments) == _MAX_SEGMENTS:
            raise EmbeddingError(
                f"{self._folder} has {_MAX_SEGMENTS} segments, which is the limit: delete the "
                "folder, it is filled again."
            )
        self._segments.append(path)
        return len(self._segments) - 1

    def _index_block(self, segment: int, start: int, rows: NDArray[np.int64]) -> None:
        first = start + _HEADER_SIZE + 8 * len(rows)
        offsets = first + self._record_size * np.arange(len(rows), dtype=np.int64)
        self._index[rows] = (np.int64(segment) << _OFFSET_BITS) | offsets

    def _add_segment(self, path: Path) -> None:
        segment = self._new_segment(path)
        fd = os.open(path, os.O_RDONLY)
        try:
            for start, rows in self._scan(fd):
                self._index_block(segment, start, rows)
        finally:
            os.close(fd)

    def _scan(self, fd: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Yield the offset and the rows of each whole block with a sound header."""
        size = os.fstat(fd).st_size
        start = 0
        while start + _HEADER_SIZE < size:
            rows = self._read_header(fd, start, size)
            if rows is None:
                start = _find_magic(fd, start + 1, size)
                continue
            yield start, rows
            start += _HEADER_SIZE + len(rows) * (8 + self._record_size)

    def _read_header(self, fd: int, start: int, size: int) -> NDArray[np.int64] | None:
        header = os.pread(fd, _HEADER_SIZE, start)
        if len(header) != _HEADER_SIZE or not header.startswith(_MAGIC):
            return None
        count = header[len(_MAGIC) : len(_MAGIC) + _COUNT.size]
        (num,) = _COUNT.unpack(count)
        if start + _HEADER_SIZE + num * (8 + self._record_size) > size:
            return None
        ids = os.pread(fd, 8 * num, start + _HEADER_SIZE)
        if self._header_digest(count, ids) != header[-_DIGEST_SIZE:]:
            return None
        return np.frombuffer(ids, dtype="<i8").astype(np.int64)


def _crc(row: int, vector: bytes) -> bytes:
    """Bind a vector to its row: one that is found in another's place is damage, too."""
    return _CRC.pack(zlib.crc32(vector, zlib.crc32(row.to_bytes(8, "little"))))


def _append_whole(path: Path, block: bytes) -> int:
    """Append ``block`` and return where it begins; after an error, leave nothing of it."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        start = os.fstat(fd).st_size
        view = memoryview(block)
        try:
            while view:
                view = view[os.write(fd, view) :]
        except OSError:
            os.ftruncate(fd, start)
            raise
        return start
    finally:
        os.close(fd)


def _find_magic(fd: int, start: int, size: int) -> int:
    """Return the offset of the next block header at or after ``start``, else ``size``."""
    while start < size:
        chunk = os.pread(fd, _SCAN_CHUNK + len(_MAGIC) - 1, start)
        at = chunk.find(_MAGIC)
        if at >= 0:
            return start + at
        if not chunk:
            break
        start += _SCAN_CHUNK
    return size
