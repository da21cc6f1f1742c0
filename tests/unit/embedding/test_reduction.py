from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.reduction import ReducedEncoder
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from tests.hashing import HashingEncoder

TEXTS = [f"text {i}" for i in range(300)]


def reduced(
    dim: int, reduction: Literal["first", "orthogonal"] = "first", seed: int = 1
) -> ReducedEncoder:
    config = ReferenceStoreConfig(dim=dim, reduction=reduction, seed=seed)

    return ReducedEncoder(HashingEncoder(256), config)


def test_the_first_dimensions_are_kept_at_length_one() -> None:
    vectors = reduced(3).encode(TEXTS)

    cut = HashingEncoder(256).encode(TEXTS)[:, :3]

    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-6)


def test_a_projection_keeps_cosines_up_to_chance() -> None:
    whole, vectors = HashingEncoder(256).encode(TEXTS), reduced(128, "orthogonal").encode(TEXTS)

    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)

    error = vectors @ vectors.T - whole @ whole.T

    assert np.abs(error).mean() < 1.0 / np.sqrt(128)


def test_the_seed_decides_the_projection() -> None:
    vectors = reduced(8, "orthogonal").encode(TEXTS)

    np.testing.assert_array_equal(vectors, reduced(8, "orthogonal").encode(TEXTS))
    assert not np.allclose(vectors, reduced(8, "orthogonal", seed=2).encode(TEXTS))


def test_the_identity_tells_all_that_decides() -> None:
    encoders = (
        HashingEncoder(256),
        reduced(8),
        reduced(8, "orthogonal"),
        reduced(8, "orthogonal", seed=2),
    )

    assert len({str(sorted(encoder.identity.items())) for encoder in encoders}) == 4

    # The seed decides nothing there.
    assert reduced(8, seed=1).identity == reduced(8, seed=2).identity


@pytest.mark.parametrize("dim", [256, 500])
def test_there_must_be_something_to_cut(dim: int) -> None:
    with pytest.raises(EmbeddingError, match="must be less than 256"):
        reduced(dim)


def test_the_config_is_validated() -> None:
    assert not ReferenceStoreConfig().validate().has_error()
    assert len(ReferenceStoreConfig(dim=0, seed=-1, chunk_size=0).validate().errors) == 3
