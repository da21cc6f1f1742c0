from __future__ import annotations

import numpy as np
import pytest

from fairseq2_jest.embedding.checksum import RecordChecksum

KEY = b"key"


def one(record: np.ndarray, *, id_: int = 3, key: bytes = KEY) -> int:
    checksum = RecordChecksum(key, len(record))

    return int(checksum(np.array([id_], dtype=np.int64), record[None])[0])


def test_does_not_depend_on_the_records_beside() -> None:
    records = np.random.default_rng(0).integers(0, 256, (5, 12), dtype=np.uint8)

    together = RecordChecksum(KEY, 12)(np.arange(5, dtype=np.int64), records)

    assert together.tolist() == [one(record, id_=i) for i, record in enumerate(records)]


def test_every_change_of_a_bit_or_a_word_is_seen() -> None:
    generator = np.random.default_rng(0)

    record = generator.integers(0, 256, 16, dtype=np.uint8)

    for bit in range(8 * len(record)):
        changed = record.copy()
        changed[bit // 8] ^= 1 << bit % 8

        assert one(changed) != one(record)

    for _ in range(1000):
        changed = record.copy()
        at = 4 * generator.integers(4)
        changed[at : at + 4] += generator.integers(1, 256, 4, dtype=np.uint8)

        assert one(changed) != one(record)


def test_another_place_or_key_does_not_fit() -> None:
    record = np.zeros(8, dtype=np.uint8)

    assert one(record) != 0
    assert len({one(record, id_=i) for i in range(100)}) == 100
    assert one(record, key=b"other") != one(record)


def test_is_what_the_files_of_others_hold() -> None:
    # Another value would make every store that was ever filled stale.
    assert one(np.arange(8, dtype=np.uint8)) == 12003940639962500642


def test_a_record_is_of_whole_words() -> None:
    with pytest.raises(ValueError, match="multiple of 4"):
        RecordChecksum(KEY, 6)
