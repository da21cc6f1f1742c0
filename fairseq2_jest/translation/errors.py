"""The one error of translating a file, and what becomes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fairseq2_jest.corpus.cleaning import Reason


class TranslationError(ValueError):
    """A file cannot be translated as it was asked for.

    The message is one sentence that names the file, line or field and says how to mend it.
    """


class LineError(TranslationError):
    """A line of the input cannot be translated."""

    def __init__(self, message: str, reason: Reason) -> None:
        super().__init__(message)

        self.reason = reason


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what goes wrong while ``path`` is written into a sentence.

    :raises TranslationError: It cannot be written, as on a full disk.
    """
    try:
        yield
    except OSError as ex:
        raise TranslationError(
            f"{path} cannot be written ({ex.strerror or ex}); make room or mend its permissions, "
            "and start the same command again: what is translated stays."
        ) from ex
