"""Filling ahead of time, the scores that come with it, and what is said before."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest

from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.claims import Claims
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.fill import Filler, chunks_of_rank, merge
from fairseq2_jest.embedding.prediction import count_complete, predict_size, time_sample
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from tests.hashing import HashingEncoder, NumberedPairs

NUM_ROWS = 50

ROWS = np.arange(NUM_ROWS, dtype=np.int64)

CHUNKED = ReferenceStoreConfig(chunk_size=8)


def open_reference(
    folder: Path,
    *,
    encoder: HashingEncoder | None = None,
    config: ReferenceStoreConfig = CHUNKED,
    corpus_digest: str = "d",
    num_rows: int = NUM_ROWS,
) -> CachedReference:
    return CachedReference.open(
        encoder or HashingEncoder(),
        NumberedPairs(),
        corpus_digest=corpus_digest,
        num_rows=num_rows,
        folder=folder,
        config=config,
    )


def fill(reference: CachedReference) -> list[int]:
    seen: list[int] = []

    chunks = range(reference.score_store.num_chunks)

    Filler(reference, on_chunk=seen.append).run(chunks, verify=True)

    return seen


def test_a_fill_leaves_nothing_to_do(tmp_path: Path) -> None:
    assert fill(open_reference(tmp_path)) == list(range(7))

    encoder = HashingEncoder()

    reference = open_reference(tmp_path, encoder=encoder)

    fill(reference)
    reference.embed(ROWS)
    reference.scores()

    assert encoder.num_encoded == 0
    assert count_complete(reference) == NUM_ROWS


def test_a_fill_makes_what_a_fine_tune_has_not(tmp_path: Path) -> None:
    encoder = HashingEncoder()

    reference = open_reference(tmp_path, encoder=encoder)

    before = reference.embed(ROWS[3::7].copy())

    encoder.num_encoded = 0

    fill(reference)

    assert encoder.num_encoded == 2 * (NUM_ROWS - len(ROWS[3::7]))
    np.testing.assert_array_equal(reference.embed(ROWS[3::7].copy()), before)


def test_scores_are_the_cosines_of_what_is_stored(tmp_path: Path) -> None:
    encoder = HashingEncoder()

    reference = open_reference(tmp_path, encoder=encoder)

    scores = reference.scores()

    source, target = reference.embed(ROWS)

    assert encoder.num_encoded == 2 * NUM_ROWS
    assert scores.shape == (NUM_ROWS,) and scores.dtype == np.float32
    assert not scores.flags.writeable
    np.testing.assert_allclose(scores, (source * target).sum(axis=1), atol=1e-6)
    np.testing.assert_array_equal(scores, open_reference(tmp_path).scores())


def test_scores_and_fill_agree_to_the_bit(tmp_path: Path) -> None:
    filled = open_reference(tmp_path / "a")

    fill(filled)

    np.testing.assert_array_equal(filled.scores(), open_reference(tmp_path / "b").scores())


@pytest.mark.parametrize(
    "changes",
    [
        {"corpus_digest": "e"},
        {"encoder": HashingEncoder(name="other")},
        {"config": ReferenceStoreConfig(chunk_size=8, precision="int8")},
        {"config": ReferenceStoreConfig(chunk_size=8, dim=4)},
        {"config": ReferenceStoreConfig(chunk_size=8, dim=4, reduction="orthogonal")},
        {"num_rows": NUM_ROWS + 1},
    ],
    ids=lambda changes: f"another {next(iter(changes))}",
)
def test_nothing_is_served_from_a_stale_store(changes: dict, tmp_path: Path) -> None:
    fill(open_reference(tmp_path))

    reference = open_reference(tmp_path, **changes)

    assert count_complete(reference) == 0
    assert all(len(store.missing(ROWS)) == NUM_ROWS for store in reference.stores)
    assert all(reference.score_store.read(chunk) is None for chunk in range(7))


def test_chunks_that_another_process_is_at_come_last(tmp_path: Path) -> None:
    reference = open_reference(tmp_path)

    held, free = multiprocessing.Event(), multiprocessing.Event()

    def hold() -> None:
        with Claims(Filler.claims_path(reference)).take(2, wait=False) as is_taken:
            assert is_taken
            held.set()
            free.wait(30)

    process = multiprocessing.get_context("fork").Process(target=hold)
    process.start()

    assert held.wait(30)

    seen: list[int] = []

    def on_chunk(chunk: int) -> None:
        seen.append(chunk)

        if len(seen) == 6:
            free.set()

    Filler(reference, on_chunk=on_chunk).run(range(7), verify=True)

    process.join()

    assert process.exitcode == 0
    assert seen == [0, 1, 3, 4, 5, 6, 2]


def test_a_process_that_dies_gives_its_claims_back(tmp_path: Path) -> None:
    def die() -> None:
        with Claims(tmp_path / "claims").take(5, wait=False):
            os._exit(9)

    process = multiprocessing.get_context("fork").Process(target=die)
    process.start()
    process.join()

    claims = Claims(tmp_path / "claims")

    with claims.take(5, wait=False) as is_taken:
        assert is_taken

    claims.close()


@pytest.mark.parametrize(("num_chunks", "num_ranks"), [(7, 1), (7, 2), (7, 3), (2, 4)])
def test_ranks_share_all_chunks_and_help_each_other(num_chunks: int, num_ranks: int) -> None:
    shares = [chunks_of_rank(num_chunks, rank, num_ranks) for rank in range(num_ranks)]

    assert sorted(chunk for own, _ in shares for chunk in own) == list(range(num_chunks))

    for own, others in shares:
        assert sorted([*own, *others]) == list(range(num_chunks))


def test_shards_of_other_caches_are_merged(tmp_path: Path) -> None:
    whole = open_reference(tmp_path / "whole")

    fill(whole)

    for name, rows in (("a", ROWS[:20]), ("b", ROWS[15:40])):
        open_reference(tmp_path / name).embed(rows)

    encoder = HashingEncoder()

    reference = open_reference(tmp_path / "c", encoder=encoder)

    num_chunks = reference.score_store.num_chunks

    # Two processes share the work.
    shares = [chunks_of_rank(num_chunks, rank, 2)[0] for rank in range(2)]

    copied = [[merge(reference, tmp_path / name, share) for share in shares] for name in "ab"]

    assert [sum(parts) for parts in copied] == [40, 40] and min(map(min, copied)) > 0
    assert count_complete(reference) == 40

    fill(reference)

    assert encoder.num_encoded == 2 * 10

    for ours, theirs in zip(reference.stores, whole.stores, strict=True):
        assert ours.file.path.read_bytes() == theirs.file.path.read_bytes()

    with pytest.raises(EmbeddingError, match="holds no embeddings of this corpus"):
        merge(reference, tmp_path / "nowhere", shares[0])


def test_size_is_predicted_and_a_sample_is_not_kept(tmp_path: Path) -> None:
    encoder = HashingEncoder()

    reference = open_reference(tmp_path, encoder=encoder)

    size = predict_size(reference)

    assert time_sample(reference, 20) > 0.0
    assert encoder.num_encoded == 20 + 2 * 20
    assert (size.num_rows, size.num_missing) == (NUM_ROWS, NUM_ROWS)
    assert size.num_missing_bytes == size.num_bytes
    assert count_complete(reference) == 0

    fill(reference)

    after = predict_size(reference)

    assert (after.num_missing, after.num_missing_bytes) == (0, 0)
    assert after.num_bytes == sum(file.stat().st_size for file in tmp_path.rglob("records.bin"))


def test_memory_does_not_grow_with_the_corpus(tmp_path: Path) -> None:
    """200,000 rows, of which the store is 55 MB, after 20,000, when all is there that is needed."""
    config = ReferenceStoreConfig(chunk_size=2048)

    peaks = []

    for num_rows in (20_000, 200_000):
        reference = open_reference(
            tmp_path / str(num_rows), encoder=HashingEncoder(64), config=config, num_rows=num_rows
        )

        seen: list[int] = []

        def on_chunk(_: int, seen: list[int] = seen) -> None:
            seen.append(resident())

        chunks = range(reference.score_store.num_chunks)

        Filler(reference, on_chunk=on_chunk).run(chunks, verify=True)

        peaks.append(max(seen))

        assert count_complete(reference) == num_rows

    assert peaks[1] - peaks[0] < 8_000_000


def resident() -> int:
    """Resident memory of this process in bytes, that of mapped files included."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
