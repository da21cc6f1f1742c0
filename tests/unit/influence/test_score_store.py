"""What is written is read, block by block; what is damaged is seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.precision import InfluencePrecisionName
from fairseq2_jest.influence.score_store import InfluenceStore

RNG = np.random.default_rng(0)

SCORES = (RNG.normal(size=(50, 5)) * 1e-9).astype(np.float32)

FEATURES = (RNG.normal(size=(50, 9)) * 10.0 ** -RNG.integers(0, 20, size=(50, 1))).astype(
    np.float32
)


def store(
    folder: Path, model: str = "m", precision: InfluencePrecisionName = "float32"
) -> InfluenceStore:
    return InfluenceStore.open(
        folder,
        identity={"model": model},
        num_rows=50,
        num_seeds=5,
        precision=precision,
        feature_dim=9,
        block_size=16,
    )


def fill(target: InfluenceStore, blocks: range) -> None:
    for block in blocks:
        rows = target.rows(block)

        target.write(block, SCORES[rows], FEATURES[rows])


def test_blocks_are_done_one_by_one_and_survive(tmp_path: Path) -> None:
    assert store(tmp_path).num_blocks == 4

    fill(store(tmp_path), range(1, 3))

    assert store(tmp_path).done().tolist() == [False, True, True, False]

    # Of another identity there is nothing.
    assert not store(tmp_path, "n").done().any()

    fill(store(tmp_path), range(4))

    assert store(tmp_path).done().all()

    (read,) = store(tmp_path).blocks()

    np.testing.assert_array_equal(read[0], np.arange(50))
    np.testing.assert_array_equal(read[1], SCORES)


def test_features_keep_three_digits_however_small(tmp_path: Path) -> None:
    held = store(tmp_path)

    fill(held, range(4))

    rows = np.array([49, 0, 3, 3])

    found = held.features(rows)

    scales = np.abs(FEATURES[rows]).max(axis=1, keepdims=True)

    assert (np.abs(found - FEATURES[rows]) <= 1e-3 * scales).all()
    assert scales.min() < 1e-8


def test_scores_of_half_the_precision_are_others_than_whole_ones(tmp_path: Path) -> None:
    fill(store(tmp_path), range(4))

    held = store(tmp_path, precision="float16")

    assert not held.done().any()
    assert held.num_bytes < store(tmp_path).num_bytes

    fill(held, range(4))

    ((rows, found),) = held.blocks()

    np.testing.assert_array_equal(rows, np.arange(50))
    np.testing.assert_allclose(found, SCORES, rtol=5e-4, atol=6e-8 * np.abs(SCORES).max())


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_pairs_without_a_score_are_done(tmp_path: Path, precision: InfluencePrecisionName) -> None:
    held = store(tmp_path, precision=precision)

    missing, features = np.full((2, 5), np.nan), np.full((2, 9), np.nan)

    held.write(3, missing, features)

    assert held.done().tolist() == [False, False, False, True]
    assert np.isnan(held.features(np.array([48, 49]))).all()


def test_a_damaged_row_makes_its_block_missing(tmp_path: Path) -> None:
    fill(store(tmp_path), range(4))

    for file in tmp_path.glob("*/records.bin"):
        content = bytearray(file.read_bytes())
        # In the last row.
        content[-9] ^= 1
        file.write_bytes(content)

    held = store(tmp_path)

    assert held.done().tolist() == [True, True, True, False]

    with pytest.raises(InfluenceError, match="nothing sound for row 49; run the command again"):
        list(held.blocks())

    fill(held, range(3, 4))

    assert held.done().all()
