"""Going through a corpus without all of its texts in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

_ROWS_AT_ONCE: Final = 8192


def blocks_of_rows(num_rows: int) -> Iterator[NDArray[np.int64]]:
    """Yields all of so many rows, ascending, some at a time."""
    for begin in range(0, num_rows, _ROWS_AT_ONCE):
        yield np.arange(begin, min(begin + _ROWS_AT_ONCE, num_rows), dtype=np.int64)
