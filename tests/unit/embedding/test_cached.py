"""What the cache of reference embeddings does where its encoder or its caller is at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typing_extensions import override

from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.reference import ReferenceEncoder

NUM_ROWS = 10


class Scripted(ReferenceEncoder):
    """``s3`` is at 3 degrees, ``t3`` opposite to it; fails once where it is told to."""

    def __init__(self) -> None:
        self.encoded: list[list[str]] = []
        self.fails_on: str | None = None

    @override
    def encode(self, texts: Sequence[str], lang: str | None = None) -> NDArray[np.float32]:
        if self.fails_on in texts:
            self.fails_on = None

            raise EmbeddingError("the encoder failed")

        self.encoded.append(list(texts))

        angles = np.radians([float(text[1:]) + 180.0 * (text[0] == "t") for text in texts])

        vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
        vectors[[text[1:] == "0" for text in texts]] = 0.0

        return vectors

    @property
    @override
    def dim(self) -> int:
        return 2

    @property
    @override
    def identity(self) -> Mapping[str, str]:
        return {"kind": "scripted"}


class Numbered:
    def texts(self, rows: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        return [f"s{row}" for row in rows], [f"t{row}" for row in rows]


def open_cached(encoder: Scripted, folder: Path | None) -> CachedReference:
    return CachedReference.open(
        encoder, Numbered(), corpus_digest="d", num_rows=NUM_ROWS, folder=folder
    )


def test_sides_and_rows_are_not_mixed_up(tmp_path: Path) -> None:
    encoder = Scripted()
    cached = open_cached(encoder, tmp_path)
    cached.embed(np.array([8, 2], dtype=np.int64))

    rows = np.array([3, 2, 8, 3], dtype=np.int64)

    source, target = cached.embed(rows)

    degrees = np.degrees(np.arctan2(source[:, 1], source[:, 0]))

    # float16 has 11 bits: 0.03 degrees.
    np.testing.assert_allclose(degrees, rows, atol=0.05)
    np.testing.assert_allclose(target, -source, atol=1e-6)
    assert encoder.encoded == [["s2", "s8"], ["t2", "t8"], ["s3"], ["t3"]]


def test_no_rows_are_no_work(tmp_path: Path) -> None:
    encoder = Scripted()

    source, target = open_cached(encoder, tmp_path).embed(np.array([], dtype=np.int64))

    assert source.shape == target.shape == (0, 2)
    assert encoder.encoded == []


def test_a_text_in_which_nothing_is_found_stays_zero(tmp_path: Path) -> None:
    for _ in range(2):
        source, _ = open_cached(Scripted(), tmp_path).embed(np.array([0, 5], dtype=np.int64))

        assert source[0].tolist() == [0.0, 0.0]
        assert float(np.linalg.norm(source[1])) == pytest.approx(1.0)


@pytest.mark.parametrize("row", [-1, NUM_ROWS])
def test_a_row_that_does_not_exist_is_refused(row: int, tmp_path: Path) -> None:
    encoder = Scripted()

    with pytest.raises(EmbeddingError, match=str(row)):
        open_cached(encoder, tmp_path).embed(np.array([1, row], dtype=np.int64))

    assert encoder.encoded == []


def test_an_encoder_that_failed_is_asked_for_the_same_texts_again(tmp_path: Path) -> None:
    rows = np.array([1, 4, 6], dtype=np.int64)

    encoder = Scripted()
    encoder.fails_on = "t4"

    with pytest.raises(EmbeddingError, match="the encoder failed"):
        open_cached(encoder, tmp_path).embed(rows)

    source, target = open_cached(encoder, tmp_path).embed(rows)

    # What a transformer makes of a text may depend on its company, which must be the same.
    assert encoder.encoded == [["s1", "s4", "s6"], ["t1", "t4", "t6"]]
    np.testing.assert_allclose(target, -source, atol=1e-6)


def test_stores_lie_in_the_cache_folder_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path))

    open_cached(Scripted(), None).embed(np.array([1], dtype=np.int64))

    assert any((tmp_path / "embeddings").rglob("*.bin"))
