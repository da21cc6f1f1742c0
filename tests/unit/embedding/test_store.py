"""The embedding store: nothing that it returns is ever wrong, whatever happens to its files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.store import EmbeddingStore

IDENTITY = {"corpus": "c", "side": "source", "model": "m"}
DIM = 5
NUM_ROWS = 40


def open_store(folder: Path, **changes: str) -> EmbeddingStore:
    return EmbeddingStore.open(folder, identity={**IDENTITY, **changes}, dim=DIM, num_rows=NUM_ROWS)


def vectors_of(rows: np.ndarray, salt: int = 0) -> np.ndarray:
    """What row ``r`` should hold, exactly representable in float16."""
    return ((rows[:, None] * 7 + np.arange(DIM) * 3 + salt) % 1000).astype(np.float16)


def fill(store: EmbeddingStore, *calls: list[int]) -> None:
    for call in calls:
        rows = np.array(call, dtype=np.int64)
        store.write(rows, vectors_of(rows))


def segments(folder: Path) -> list[Path]:
    return sorted(folder.rglob("segment-*.bin"))


def assert_sound(store: EmbeddingStore) -> set[int]:
    """Check each vector that the store claims to hold; return its rows."""
    rows = np.arange(NUM_ROWS, dtype=np.int64)
    vectors, found = store.lookup(rows)
    np.testing.assert_array_equal(vectors[found], vectors_of(rows[found]))
    assert not vectors[~found].any()
    assert store.missing(rows).tolist() == rows[~found].tolist()
    return set(rows[found].tolist())


def test_reads_what_was_written_in_any_order_with_repeats(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, [5, 1, 30], [0, 39])
    for reader in (store, open_store(tmp_path)):
        rows = np.array([39, 1, 1, 5, 0], dtype=np.int64)
        vectors = reader.read(rows)
        assert vectors.dtype == np.float16
        np.testing.assert_array_equal(vectors, vectors_of(rows))
        assert assert_sound(reader) == {0, 1, 5, 30, 39}


def test_rounds_to_float16_at_once(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    row = np.array([3], dtype=np.int64)
    exact = np.full((1, DIM), 1 / 3, dtype=np.float32)
    store.write(row, exact)
    now, later = store.read(row), open_store(tmp_path).read(row)
    np.testing.assert_array_equal(now, exact.astype(np.float16))
    np.testing.assert_array_equal(now, later)


def test_reading_a_missing_row_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="no sound vector for row 4"):
        open_store(tmp_path).read(np.array([4], dtype=np.int64))


@pytest.mark.parametrize(
    ("rows", "vectors", "match"),
    [
        (np.array([40]), np.zeros((1, DIM)), "Row 40 is outside"),
        (np.array([-1]), np.zeros((1, DIM)), "Row -1 is outside"),
        (np.array([1, 1]), np.zeros((2, DIM)), "once"),
        (np.array([1]), np.zeros((1, DIM + 1)), "shape"),
        (np.array([1]), np.full((1, DIM), np.nan), "not finite"),
        (np.array([1]), np.full((1, DIM), 1e6), "not finite"),
        (np.array([1.0]), np.zeros((1, DIM)), "int64"),
    ],
)
def test_refuses_what_it_cannot_hold(
    tmp_path: Path, rows: np.ndarray, vectors: np.ndarray, match: str
) -> None:
    store = open_store(tmp_path)
    with pytest.raises(EmbeddingError, match=match):
        store.write(rows, vectors)
    assert segments(tmp_path) == []


@pytest.mark.parametrize("change", [{"model": "m2"}, {"corpus": "c2"}, {"side": "target"}])
def test_another_identity_is_another_store(tmp_path: Path, change: dict[str, str]) -> None:
    fill(open_store(tmp_path), [1, 2])
    assert assert_sound(open_store(tmp_path, **change)) == set()


def test_another_dimension_or_length_is_another_store(tmp_path: Path) -> None:
    fill(open_store(tmp_path), [1, 2])
    row = np.array([1], dtype=np.int64)
    for dim, num_rows in ((DIM + 1, NUM_ROWS), (DIM, NUM_ROWS + 1)):
        other = EmbeddingStore.open(tmp_path, identity=IDENTITY, dim=dim, num_rows=num_rows)
        assert other.missing(row).tolist() == [1]


def test_a_segment_copied_from_another_store_is_not_read(tmp_path: Path) -> None:
    fill(open_store(tmp_path), [1, 2])
    other = open_store(tmp_path, model="m2")
    (alien,) = segments(tmp_path)
    fill(other, [7])
    (own,) = [path for path in segments(tmp_path) if path != alien]
    shutil.copy(alien, own.parent)
    assert assert_sound(open_store(tmp_path, model="m2")) == {7}


def test_a_torn_write_leaves_all_of_a_block_or_none(tmp_path: Path) -> None:
    fill(open_store(tmp_path), [1, 2], [8, 9, 10])
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    one_block = EmbeddingStore.open(tmp_path / "x", identity=IDENTITY, dim=DIM, num_rows=NUM_ROWS)
    fill(one_block, [1, 2])
    first = segments(tmp_path / "x")[0].stat().st_size

    for length in range(first, len(whole)):
        segment.write_bytes(whole[:length])
        assert assert_sound(open_store(tmp_path)) == {1, 2}, length
        # What power loss may leave: the length without the content.
        segment.write_bytes(whole[:length] + bytes(len(whole) - length))
        assert {1, 2} <= assert_sound(open_store(tmp_path)) <= {1, 2, 8, 9, 10}, length


def test_every_flipped_bit_is_found_or_harmless_and_refilled(tmp_path: Path) -> None:
    calls = ([1, 2], [8, 9, 10], [20])
    fill(open_store(tmp_path), *calls)
    (segment,) = segments(tmp_path)
    whole = segment.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        segment.write_bytes(damaged)
        kept = assert_sound(open_store(tmp_path))
        # One bit costs one row, or where it hits a header, one block.
        lost = {1, 2, 8, 9, 10, 20} - kept
        assert len(lost) == 1 or any(lost == set(call) for call in calls), bit

    refilled = open_store(tmp_path)
    fill(refilled, refilled.missing(np.arange(NUM_ROWS, dtype=np.int64)).tolist())
    assert assert_sound(refilled) == set(range(NUM_ROWS))
    assert assert_sound(open_store(tmp_path)) == set(range(NUM_ROWS))


def test_damage_after_opening_is_found_when_read(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, [1, 2])
    (segment,) = segments(tmp_path)
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    assert assert_sound(store) == {1}
    segment.unlink()
    assert assert_sound(store) == set()


def test_magic_bytes_inside_vectors_are_not_taken_for_a_block(tmp_path: Path) -> None:
    dim = 8
    magic = np.frombuffer(b"\x93F2JEST\n" * 2, dtype="<f2")
    store = EmbeddingStore.open(tmp_path, identity=IDENTITY, dim=dim, num_rows=NUM_ROWS)
    store.write(np.array([1]), magic[None, :])
    store.write(np.array([2]), np.ones((1, dim)))
    (segment,) = segments(tmp_path)
    content = bytearray(segment.read_bytes())
    content[0] ^= 1
    segment.write_bytes(content)
    again = EmbeddingStore.open(tmp_path, identity=IDENTITY, dim=dim, num_rows=NUM_ROWS)
    assert again.missing(np.array([1, 2])).tolist() == [1]


def test_two_writers_share_a_store(tmp_path: Path) -> None:
    a, b = open_store(tmp_path), open_store(tmp_path)
    fill(a, [1, 2])
    fill(b, [2, 3])
    fill(a, [4])
    assert assert_sound(a) == {1, 2, 4}
    assert assert_sound(b) == {2, 3}
    assert len(segments(tmp_path)) == 2
    assert assert_sound(open_store(tmp_path)) == {1, 2, 3, 4}


def test_no_descriptor_is_held(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    store = open_store(tmp_path)
    fill(store, [1, 2])
    open_store(tmp_path).read(np.array([1], dtype=np.int64))
    assert len(os.listdir("/proc/self/fd")) == before


WRITER = """
import sys
from pathlib import Path
import numpy as np
from fairseq2_jest.embedding.store import EmbeddingStore
store = EmbeddingStore.open(
    Path(sys.argv[1]), identity={"corpus": "c", "side": "source", "model": "m"}, dim=512,
    num_rows=200_000,
)
rng = np.random.default_rng(int(sys.argv[2]))
while True:
    left = store.missing(rng.choice(200_000, 50, replace=False))
    store.write(left, np.repeat(left[:, None] % 2048, 512, axis=1))
    print(len(left), flush=True)
"""


def test_kill_in_mid_fill_then_resume(tmp_path: Path) -> None:
    """Killed three times while writing, the store keeps every call that it had acknowledged."""
    acknowledged = 0
    for seed, delay in enumerate((0.05, 0.11, 0.17)):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(seed)], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            acknowledged += int(writer.stdout.readline())
            time.sleep(delay)
            writer.send_signal(signal.SIGKILL)
            lines = writer.stdout.read().splitlines(keepends=True)
            acknowledged += sum(int(line) for line in lines if line.endswith(b"\n"))
        store = EmbeddingStore.open(tmp_path, identity=IDENTITY, dim=512, num_rows=200_000)
        rows = np.arange(200_000, dtype=np.int64)
        vectors, found = store.lookup(rows)
        assert found.sum() >= acknowledged
        np.testing.assert_array_equal(
            vectors[found], np.repeat(rows[found][:, None] % 2048, 512, axis=1)
        )


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(
            st.lists(st.integers(0, NUM_ROWS - 1), unique=True, max_size=8),
            st.integers(0, 99),
            st.booleans(),
        ),
        max_size=8,
    )
)
def test_read_after_write(
    tmp_path_factory: pytest.TempPathFactory, calls: list[tuple[list[int], int, bool]]
) -> None:
    """The last write of a row wins, within an instance and across reopening."""
    folder = tmp_path_factory.mktemp("store")
    store = open_store(folder)
    expected: dict[int, np.ndarray] = {}
    for listed, salt, reopen in calls:
        rows = np.array(listed, dtype=np.int64)
        vectors = vectors_of(rows, salt)
        store.write(rows, vectors)
        expected.update(zip(listed, vectors, strict=True))
        if reopen:
            store = open_store(folder)
        every = np.arange(NUM_ROWS, dtype=np.int64)
        held, found = store.lookup(every)
        assert set(every[found].tolist()) == expected.keys()
        for row, vector in expected.items():
            np.testing.assert_array_equal(held[row], vector)
