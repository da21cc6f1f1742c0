"""Who is at work on what, between processes that know nothing of each other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairseq2_jest.embedding.errors import EmbeddingError


class Claims:
    """Numbered claims, each held by one process at a time, and freed when that process dies.

    A claim is a lock on one byte of a file, which does not grow. Within one process claims do not
    exclude each other.
    """

    def __init__(self, path: Path) -> None:
        """
        :raises EmbeddingError: The file cannot be made.
        """
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as ex:
            raise self._error(ex) from ex

    def close(self) -> None:
        """Free all claims."""
        os.close(self._fd)

    @contextmanager
    def take(self, number: int, *, wait: bool) -> Iterator[bool]:
        """Hold claim ``number`` inside the context.

        :param wait: Whether to wait for the process that holds it.
        :returns: Whether it is held, which is always so after waiting.
        :raises EmbeddingError: The file system has no locks.
        """
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, number)
        except (BlockingIOError, PermissionError):
            yield False
            return
        except OSError as ex:
            raise self._error(ex) from ex
        try:
            yield True
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)

    def _error(self, ex: OSError) -> EmbeddingError:
        return EmbeddingError(
            f"{self._path} cannot be locked ({ex.strerror}): name a cache folder on another file "
            "system in FAIRSEQ2_JEST_CACHE_DIR, or mend its permissions."
        )
