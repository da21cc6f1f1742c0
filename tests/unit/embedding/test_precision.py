from __future__ import annotations

import numpy as np
import pytest

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.precision import PRECISIONS, PrecisionName


def random_vectors(num: int, dim: int) -> np.ndarray:
    vectors = np.random.default_rng(0).standard_normal((num, dim)).astype(np.float32)

    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 7, 768])
@pytest.mark.parametrize(("name", "tolerance"), [("float16", 2**-11), ("int8", 0.5 / 127)])
def test_each_value_is_rounded_to_the_nearest_level(
    name: PrecisionName, tolerance: float, dim: int
) -> None:
    precision = PRECISIONS[name]

    vectors = random_vectors(20, dim)

    records = precision.pack(vectors)

    assert records.shape == (20, precision.record_size(dim))
    assert records.shape[1] % 4 == 0

    largest = np.abs(vectors).max(axis=1, keepdims=True)

    error = np.abs(precision.unpack(records, dim) - vectors) / largest

    assert error.max() <= tolerance * 1.001


def test_float16_is_numpys() -> None:
    vectors = random_vectors(50, 31)

    unpacked = PRECISIONS["float16"].unpack(PRECISIONS["float16"].pack(vectors), 31)

    np.testing.assert_array_equal(unpacked, vectors.astype(np.float16))


def test_int8_takes_half_the_room() -> None:
    assert PRECISIONS["int8"].record_size(768) == 772
    assert PRECISIONS["float16"].record_size(768) == 1536


@pytest.mark.parametrize("name", ["float16", "int8"])
def test_zeros_and_the_smallest_numbers_come_back_finite(name: PrecisionName) -> None:
    vectors = np.zeros((3, 8), dtype=np.float32)
    vectors[1] = np.float32(1e-45)
    vectors[2] = np.linspace(-1e-40, 1e-40, 8)

    unpacked = PRECISIONS[name].unpack(PRECISIONS[name].pack(vectors), 8)

    assert not unpacked[0].any()
    np.testing.assert_allclose(unpacked, vectors, atol=1e-40)


@pytest.mark.parametrize("name", ["float16", "int8"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(name: PrecisionName, value: float) -> None:
    with pytest.raises(EmbeddingError, match="not finite"):
        PRECISIONS[name].pack(np.array([[0.5, value]], dtype=np.float32))
