"""Records of one size on disk, each in its place and under its checksum, written in any order.

::

    checksum uint64[num_records], 0 where there is no record | padding to 4096 | the records

The file is sparse: what was never written takes no room. Readers take no lock, since every record
is verified when it is read: one that is damaged, half written, cut off or of another key is
missing, and is made anew by whoever needs it. Writers take turns, a sound record is never
written over, and a call is stored whole or not at all: it goes to a journal first, which whoever
comes next carries out after a kill.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from fairseq2_jest.embedding.checksum import RecordChecksum
from fairseq2_jest.embedding.errors import EmbeddingError

_PAGE = 4096
_COUNT_STEP = 1 << 20

_JOURNAL_MAGIC = b"\x93F2JEST\n"
_JOURNAL_HEAD = struct.Struct("<8sQ")


class RecordFile:
    """Maps ``0 <= id < num_records`` to ``record_size`` bytes.

    Use :meth:`open`. Memory does not grow with the file, which is memory-mapped. One instance
    serves one thread; any number of processes may hold the same file open, and each sees at once
    what the others write.
    """

    def __init__(self, path: Path, key: bytes, num_records: int, record_size: int) -> None:
        self._fd = -1
        self._map: mmap.mmap | None = None
        self._path = path
        self._key = key
        # A lock of the file system, since fairseq2's gangs know nothing of other runs.
        self._lock = FileLock(path.with_name(f"{path.name}.lock"))
        self._journal = path.with_name(f"{path.name}.journal")
        self._num_records = num_records
        self._record_size = record_size
        self._checksum = RecordChecksum(key, record_size)
        # One page more than the checksums need, so that the records never begin at 0.
        self._start = (8 * num_records // _PAGE + 1) * _PAGE
        self._size = self._start + num_records * record_size

    def __del__(self) -> None:
        self._close()

    @classmethod
    def open(cls, path: Path, *, key: bytes, num_records: int, record_size: int) -> RecordFile:
        """Open the file at ``path``, making it and its folder if need be.

        :param key: What the records belong to; those written under another are missing.
        :param record_size: In bytes, a multiple of 4.
        :raises EmbeddingError: It cannot be made or read.
        """
        file = cls(path, key, num_records, record_size)
        with file._told("opened"):
            file._ready()
            if file._journal_size() > 0:
                with file._lock:
                    file._recover()
        return file

    def open_under(self, folder: Path) -> RecordFile:
        """Open the file of the same key that was made under another ``folder``.

        :raises EmbeddingError: There is none, or it cannot be read.
        """
        path = folder / self._path.parent.name / self._path.name
        if not path.is_file():
            raise EmbeddingError(
                f"{folder} holds no embeddings of this corpus, encoder and settings "
                f"({path} does not exist): name the folder `embeddings` of a cache that does."
            )
        return RecordFile.open(
            path, key=self._key, num_records=self._num_records, record_size=self._record_size
        )

    @property
    def path(self) -> Path:
        return self._path

    @property
    def num_records(self) -> int:
        return self._num_records

    @property
    def record_size(self) -> int:
        """In bytes."""
        return self._record_size

    @property
    def size(self) -> int:
        """In bytes, once every record is there."""
        return self._size

    def allocated(self) -> int:
        """Return the bytes that the file takes on the disk now."""
        with self._told("read"):
            self._ready()
            return 512 * os.fstat(self._fd).st_blocks

    def count(self) -> int:
        """Return how many records have been written; whether they are sound is not looked at."""
        total = 0
        with self._told("read"):
            self._ready()
            for first in range(0, self._num_records, _COUNT_STEP):
                stop = min(first + _COUNT_STEP, self._num_records)
                total += int(np.count_nonzero(self._read_sums(first, stop)))
        return total

    def read(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Return the records ``(n, record_size)`` of ``ids``, and ``(n,)`` which of them are sound.

        What is not sound is zeros.

        :param ids: ``(n,)``, in range, repeats allowed.
        :raises EmbeddingError: The file cannot be read.
        """
        if len(ids) == 0:
            return np.zeros((0, self._record_size), dtype=np.uint8), np.zeros(0, dtype=np.bool_)
        with self._told("read"):
            self._ready()
            first, stop = int(ids[0]), int(ids[-1]) + 1
            if stop - first == len(ids) and (np.diff(ids) == 1).all():
                sums, records = self._read_sums(first, stop), self._read_run(first, stop)
            else:
                sums, records = self._gather(ids)
        # What is served is what was verified: the file may change meanwhile.
        sound = (sums == self._checksum(ids, records)) & (sums != 0)
        records[~sound] = 0
        return records, sound

    def map(self, dtype: str) -> NDArray[Any]:
        """Return all records end to end as an array of ``dtype``, memory-mapped and read-only.

        Nothing is verified, and what is missing is zeros.

        :raises EmbeddingError: The file cannot be read.
        """
        with self._told("read"):
            self._ready()
            assert self._map is not None
            return np.frombuffer(self._map, dtype=dtype, offset=self._start)

    def write(
        self, ids: NDArray[np.int64], records: NDArray[np.uint8], *, replace: bool = False
    ) -> None:
        """Store ``records`` ``(n, record_size)`` for the distinct ``ids`` ``(n,)``.

        All or nothing, after a kill, too.

        :param replace: If ``False``, what is there and sound stays as it is.
        :raises EmbeddingError: The file cannot be written.
        """
        with self._told("written"), self._lock:
            self._ready()
            self._recover()
            if not replace:
                _, sound = self.read(ids)
                ids, records = ids[~sound], records[~sound]
            if len(ids) == 0:
                return
            order = np.argsort(ids)
            ids, records = ids[order], np.ascontiguousarray(records[order])
            sums = self._checksum(ids, records)
            try:
                self._write_journal(ids, sums, records)
                self._apply(ids, sums, records)
            finally:
                # After an error nothing must be carried out that the caller was not promised.
                self._drop_journal()

    def _ready(self) -> None:
        """Open and map the file, making whole again what is cut off or was taken away."""
        if self._fd >= 0:
            state = os.fstat(self._fd)
            if state.st_size == self._size and state.st_nlink > 0:
                return
            self._close()
        if not self._path.exists() or self._path.stat().st_size != self._size:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._lock:
                # Not "w": a process that was faster may have written already.
                fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
                try:
                    os.ftruncate(fd, self._size)
                finally:
                    os.close(fd)
        self._fd = os.open(self._path, os.O_RDONLY)
        self._map = mmap.mmap(self._fd, self._size, prot=mmap.PROT_READ)
        # Rows come in random order, of which reading ahead would read 32 pages each.
        self._map.madvise(mmap.MADV_RANDOM)

    def _close(self) -> None:
        # Not closed by hand: an array that was handed out may still look into it.
        self._map = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _gather(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        assert self._map is not None
        sums = np.frombuffer(self._map, dtype="<u8", count=self._num_records)
        records = np.frombuffer(self._map, dtype=np.uint8, offset=self._start)
        return sums[ids], records.reshape(-1, self._record_size)[ids]

    def _read_sums(self, first: int, stop: int) -> NDArray[np.uint64]:
        return np.frombuffer(_pread(self._fd, 8 * (stop - first), 8 * first), dtype="<u8")

    def _read_run(self, first: int, stop: int) -> NDArray[np.uint8]:
        # Not through the map, whose pages would count as memory of this process.
        length, offset = (stop - first) * self._record_size, self._start + first * self._record_size
        data = np.frombuffer(_pread(self._fd, length, offset), dtype=np.uint8)
        return data.reshape(-1, self._record_size)

    def _write_journal(
        self, ids: NDArray[np.int64], sums: NDArray[np.uint64], records: NDArray[np.uint8]
    ) -> None:
        fd = os.open(self._journal, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            offset = 0
            for part in (
                _JOURNAL_HEAD.pack(_JOURNAL_MAGIC, len(ids)),
                ids.astype("<i8").data,
                sums.astype("<u8").data,
                records.data,
            ):
                offset += _pwrite(fd, part, offset)
        finally:
            os.close(fd)

    def _recover(self) -> None:
        """Carry out the journal of a call that a kill cut short, if it is whole."""
        if self._journal_size() == 0:
            return
        content = self._journal.read_bytes()
        head = _JOURNAL_HEAD.size
        if len(content) > head and content.startswith(_JOURNAL_MAGIC):
            count = _JOURNAL_HEAD.unpack_from(content)[1]
            if len(content) == head + count * (16 + self._record_size):
                ids = np.frombuffer(content, dtype="<i8", count=count, offset=head)
                sums = np.frombuffer(content, dtype="<u8", count=count, offset=head + 8 * count)
                records = np.frombuffer(content, dtype=np.uint8, offset=head + 16 * count)
                records = records.reshape(count, self._record_size)
                in_range = ((ids >= 0) & (ids < self._num_records)).all()
                if in_range and (self._checksum(ids, records) == sums).all():
                    self._apply(ids, sums, records)
        self._drop_journal()

    def _journal_size(self) -> int:
        try:
            return self._journal.stat().st_size
        except FileNotFoundError:
            return 0

    def _drop_journal(self) -> None:
        with suppress(FileNotFoundError):
            os.truncate(self._journal, 0)

    def _apply(
        self, ids: NDArray[np.int64], sums: NDArray[np.uint64], records: NDArray[np.uint8]
    ) -> None:
        """Write in place, a run of ascending ``ids`` at a time."""
        bounds = [0, *(np.flatnonzero(np.diff(ids) != 1) + 1).tolist(), len(ids)]
        fd = os.open(self._path, os.O_WRONLY)
        try:
            for begin, end in pairwise(bounds):
                first = int(ids[begin])
                offset = self._start + first * self._record_size
                _pwrite(fd, records[begin:end].data, offset)
                _pwrite(fd, sums[begin:end].astype("<u8").data, 8 * first)
        finally:
            os.close(fd)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            yield
        except (OSError, NotImplementedError) as ex:
            code = getattr(ex, "errno", None)
            reason = os.strerror(code) if code is not None else str(ex)
            mend = "make room" if code in (errno.ENOSPC, errno.EDQUOT) else "mend its permissions"
            raise EmbeddingError(
                f"The embedding store {self._path} cannot be {what} ({reason}): {mend}, or name "
                "another cache folder in FAIRSEQ2_JEST_CACHE_DIR."
            ) from ex


def _pread(fd: int, length: int, offset: int) -> bytearray:
    """Read ``length`` bytes; zeros stand for what another process has just cut off."""
    buffer = bytearray(length)
    view = memoryview(buffer)
    while view and (count := os.preadv(fd, [view], offset)) > 0:
        view, offset = view[count:], offset + count
    return buffer


def _pwrite(fd: int, data: bytes | memoryview, offset: int) -> int:
    view = memoryview(data).cast("B")
    length = len(view)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count
    return length
