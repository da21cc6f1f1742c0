"""Damages the files of a store at random, and checks that nothing wrong ever comes out."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np

from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.fill import Filler
from fairseq2_jest.embedding.record_file import RecordFile
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from tests.hashing import HashingEncoder, NumberedPairs

NUM_ROWS = 60

ROWS = np.arange(NUM_ROWS, dtype=np.int64)


def open_reference(folder: Path, config: ReferenceStoreConfig) -> CachedReference:
    return CachedReference.open(
        HashingEncoder(),
        NumberedPairs(),
        corpus_digest="d",
        num_rows=NUM_ROWS,
        folder=folder,
        config=config,
    )


def fill(reference: CachedReference) -> int:
    """Fills the store, and returns how many texts that took."""
    encoder = reference.encoder

    assert isinstance(encoder, HashingEncoder)

    before = encoder.num_encoded

    Filler(reference).run(range(reference.score_store.num_chunks), verify=True)

    return encoder.num_encoded - before


def files_of(reference: CachedReference) -> list[RecordFile]:
    return [*(store.file for store in reference.stores), reference.score_store.file]


def num_missing(reference: CachedReference) -> list[int]:
    """Rows that the source and the target store lack, and chunks without scores."""
    scores = reference.score_store

    return [
        *(len(store.missing(ROWS)) for store in reference.stores),
        sum(scores.read(chunk) is None for chunk in range(scores.num_chunks)),
    ]


def check_damage(
    folder: Path, config: ReferenceStoreConfig, *, num_flips: int, num_truncations: int, seed: int
) -> None:
    """Flips bits and cuts files; each damage is found, never served, and mended to the same bytes.

    Every other damage befalls a store that is open.
    """
    random_ = random.Random(seed)

    reference = open_reference(folder, config)

    assert fill(reference) == 2 * NUM_ROWS

    expected = reference.embed(ROWS)
    expected_scores = reference.scores().copy()

    whole = [file.path.read_bytes() for file in files_of(reference)]

    for number in range(num_flips + num_truncations):
        place = random_.randrange(3)

        file, content = files_of(reference)[place], whole[place]

        if number < num_flips:
            _flip(file, content, random_)
        else:
            # Somewhere in the records, since no length is left where the checksums are cut off.
            os.truncate(file.path, random_.randrange(len(content)))

        if number % 2:
            reference = open_reference(folder, config)

        found = num_missing(reference)

        if number < num_flips:
            assert found == [int(place == i) for i in range(3)], number
        else:
            assert found[place] > 0 and sum(found) == found[place], number

        # One side may be served while the other is made again.
        for got, vectors in zip(reference.embed(ROWS), expected, strict=True):
            np.testing.assert_array_equal(got, vectors)

        np.testing.assert_array_equal(reference.scores(), expected_scores)

        assert num_missing(reference) == [0, 0, 0]

        for mended, bytes_ in zip(files_of(reference), whole, strict=True):
            assert mended.path.read_bytes() == bytes_, number


def _flip(file: RecordFile, content: bytes, random_: random.Random) -> None:
    # What lies between checksums and records means nothing.
    num_sums = 8 * file.num_records
    num_bytes = num_sums + file.num_records * file.record_size

    at = random_.randrange(num_bytes)

    if at >= num_sums:
        at += len(content) - num_bytes

    with file.path.open("r+b") as stream:
        stream.seek(at)
        stream.write(bytes([content[at] ^ 1 << random_.randrange(8)]))
