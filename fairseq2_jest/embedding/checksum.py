"""Checksums of many equally long records at once."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

_WORD = 4


class RecordChecksum:
    """The keyed multilinear hash ``sum of word_i * k_i + id * k_id + k_0 mod 2^64`` of a record.

    Words are uint32 and the multipliers odd, hence a change of the id or within one word, such as
    a flipped bit, is always seen; any other goes unseen with a chance of 2^-32 at most. Under
    another key nothing fits. Not CRC-32, since zlib takes one record a call: a super-batch has
    thousands, and they are verified whenever they are read.

    :param key: What the records belong to.
    :param record_size: In bytes, a multiple of 4.
    """

    def __init__(self, key: bytes, record_size: int) -> None:
        if record_size % _WORD:
            raise ValueError(f"`record_size` must be a multiple of {_WORD}, but is {record_size}.")
        num_words = record_size // _WORD
        stream = hashlib.shake_128(key).digest(8 * (num_words + 2))
        multipliers = np.frombuffer(stream, dtype="<u8").astype(np.uint64) | np.uint64(1)
        self._offset, self._id_multiplier = multipliers[:2]
        self._multipliers = multipliers[2:]

    def __call__(self, ids: NDArray[np.int64], records: NDArray[np.uint8]) -> NDArray[np.uint64]:
        """Return the checksums ``(n,)``, none of which is 0.

        :param ids: ``(n,)``, not negative: a record that is found in another's place is damage.
        :param records: ``(n, record_size)``, contiguous.
        """
        words = records.view("<u4")
        sums: NDArray[np.uint64] = np.einsum("nw,w->n", words, self._multipliers)
        sums += ids.astype(np.uint64) * self._id_multiplier + self._offset
        sums[sums == 0] = 1
        return sums
