"""The embedding store: nothing that it returns is ever wrong, whatever happens to its files."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.precision import PrecisionName
from fairseq2_jest.embedding.store import EmbeddingStore
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from tests.damage import check_damage

IDENTITY = {"corpus": "c", "side": "source", "model": "m"}
DIM = 5
NUM_ROWS = 40


def open_store(folder: Path, **changes: str) -> EmbeddingStore:
    return EmbeddingStore.open(folder, identity={**IDENTITY, **changes}, dim=DIM, num_rows=NUM_ROWS)


def vectors_of(rows: np.ndarray, salt: int = 0) -> np.ndarray:
    """What row ``r`` should hold, exactly representable in float16."""
    return ((rows[:, None] * 7 + np.arange(DIM) * 3 + salt) % 1000).astype(np.float32)


def fill(store: EmbeddingStore, *calls: list[int]) -> None:
    for call in calls:
        rows = np.array(call, dtype=np.int64)
        store.write(rows, vectors_of(rows))


def assert_sound(store: EmbeddingStore) -> set[int]:
    """Check each vector that the store claims to hold; return its rows."""
    rows = np.arange(NUM_ROWS, dtype=np.int64)
    shuffled = np.random.default_rng(0).permutation(rows)
    for asked in (rows, shuffled):
        vectors, found = store.lookup(asked)
        np.testing.assert_array_equal(vectors[found], vectors_of(asked[found]))
        assert not vectors[~found].any()
    assert store.missing(rows).tolist() == np.sort(shuffled[~found]).tolist()
    return set(shuffled[found].tolist())


def test_reads_what_was_written_in_any_order_with_repeats(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    early = open_store(tmp_path)
    fill(store, [5, 1, 30], [0, 39])
    for reader in (store, early, open_store(tmp_path)):
        rows = np.array([39, 1, 1, 5, 0], dtype=np.int64)
        vectors = reader.read(rows)
        assert vectors.dtype == np.float32
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


def test_a_sound_row_stays_what_it_is(tmp_path: Path) -> None:
    a, b = open_store(tmp_path), open_store(tmp_path)
    fill(a, [1, 2])
    rows = np.array([2, 3], dtype=np.int64)
    b.write(rows, np.stack([np.ones(DIM), vectors_of(rows)[1]]))
    assert assert_sound(a) == assert_sound(b) == {1, 2, 3}


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
    assert assert_sound(store) == set()


@pytest.mark.parametrize("change", [{"model": "m2"}, {"corpus": "c2"}, {"side": "target"}])
def test_another_identity_is_another_store(tmp_path: Path, change: dict[str, str]) -> None:
    fill(open_store(tmp_path), [1, 2])
    assert assert_sound(open_store(tmp_path, **change)) == set()


@pytest.mark.parametrize(
    ("dim", "num_rows", "precision"),
    [
        (DIM + 1, NUM_ROWS, "float16"),
        (DIM, NUM_ROWS + 1, "float16"),
        (DIM, NUM_ROWS, "int8"),
    ],
)
def test_another_shape_or_precision_is_another_store(
    dim: int, num_rows: int, precision: PrecisionName, tmp_path: Path
) -> None:
    fill(open_store(tmp_path), [1, 2])
    other = EmbeddingStore.open(
        tmp_path, identity=IDENTITY, dim=dim, num_rows=num_rows, precision=precision
    )
    assert other.missing(np.array([1], dtype=np.int64)).tolist() == [1]


def test_a_file_copied_from_another_store_is_not_read(tmp_path: Path) -> None:
    store, other = open_store(tmp_path), open_store(tmp_path, model="m2")
    fill(store, [1, 2])
    shutil.copy(store.file.path, other.file.path)
    assert assert_sound(other) == assert_sound(open_store(tmp_path, model="m2")) == set()
    fill(other, [7])
    assert assert_sound(other) == {7}


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_damage_is_found_and_mended(precision: PrecisionName, tmp_path: Path) -> None:
    config = ReferenceStoreConfig(precision=precision, chunk_size=16)
    check_damage(tmp_path, config, num_flips=150, num_truncations=30, seed=0)


def test_a_deleted_store_is_made_anew_by_who_has_it_open(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    fill(store, [1, 2])
    shutil.rmtree(tmp_path)
    assert assert_sound(store) == set()
    fill(store, [3])
    assert assert_sound(store) == assert_sound(open_store(tmp_path)) == {3}


def test_a_call_that_was_cut_short_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    """At each length that a kill may have left of the journal."""
    store = open_store(tmp_path)
    fill(store, [1, 2])
    before = store.file.path.read_bytes()
    journal = store.file.path.with_name("records.bin.journal")

    kept = []
    truncate = os.truncate

    def keep(path: str | Path, length: int) -> None:
        kept.append(Path(path).read_bytes())
        truncate(path, length)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "truncate", keep)
        fill(store, [8, 9, 20])
    (whole,) = kept

    for length in range(len(whole) + 1):
        store.file.path.write_bytes(before)
        journal.write_bytes(whole[:length])
        complete = length == len(whole)
        assert assert_sound(open_store(tmp_path)) == {1, 2} | ({8, 9, 20} if complete else set())
        assert journal.read_bytes() == b""
    for at in range(len(whole)):
        store.file.path.write_bytes(before)
        journal.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert assert_sound(open_store(tmp_path)) == {1, 2}, at


def test_a_full_disk_is_one_sentence_and_leaves_a_sound_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(tmp_path)
    fill(store, [1, 2])

    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", refuse)
        with pytest.raises(EmbeddingError, match=r"No space left on device\): make room"):
            fill(store, [3])
    assert assert_sound(store) == assert_sound(open_store(tmp_path)) == {1, 2}


def test_threads_open_and_fill_one_store_at_the_same_time(tmp_path: Path) -> None:
    barrier = threading.Barrier(4)

    def work(first: int) -> None:
        barrier.wait()
        store = open_store(tmp_path)
        for row in range(first, first + 20):
            fill(store, [row])
        assert_sound(store)

    threads = [threading.Thread(target=work, args=(5 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert assert_sound(open_store(tmp_path)) == set(range(35))


def test_descriptors_are_given_back(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    store = open_store(tmp_path)
    fill(store, [1, 2])
    store.read(np.array([2, 1], dtype=np.int64))
    del store
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
    """The first write of a row wins, within an instance and across reopening."""
    folder = tmp_path_factory.mktemp("store")
    store = open_store(folder)
    expected: dict[int, np.ndarray] = {}
    for listed, salt, reopen in calls:
        rows = np.array(listed, dtype=np.int64)
        vectors = vectors_of(rows, salt)
        store.write(rows, vectors)
        expected = dict(zip(listed, vectors, strict=True)) | expected
        if reopen:
            store = open_store(folder)
        every = np.arange(NUM_ROWS, dtype=np.int64)
        held, found = store.lookup(every)
        assert set(every[found].tolist()) == expected.keys()
        for row, vector in expected.items():
            np.testing.assert_array_equal(held[row], vector)
