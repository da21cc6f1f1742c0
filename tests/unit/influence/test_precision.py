from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from fairseq2_jest.influence.precision import PRECISIONS, InfluencePrecisionName

# No further apart than gradients are: below 1e-45 there are no numbers.
_NUMBERS = st.floats(-(2.0**66), 2.0**66, width=32).filter(lambda x: x == 0.0 or abs(x) > 1e-15)

_INFLUENCES = arrays(np.float32, array_shapes(min_dims=2, max_dims=2), elements=_NUMBERS)


@given(_INFLUENCES)
def test_halves_keep_every_sign_and_three_digits(values: NDArray[np.float32]) -> None:
    found = _back(values, "float16")

    np.testing.assert_array_equal(np.sign(found), np.sign(values))

    largest = np.abs(values).max(axis=1, keepdims=True)

    assert (np.abs(found - values) <= np.maximum(5e-4 * np.abs(values), 6e-8 * largest)).all()


@given(_INFLUENCES)
def test_whole_numbers_come_back(values: NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(_back(values, "float32"), values)


@pytest.mark.parametrize("name", ["float32", "float16"])
def test_what_is_not_scored_comes_back(name: InfluencePrecisionName) -> None:
    values = np.ones((3, 5), dtype=np.float32)
    values[1] = np.nan

    np.testing.assert_array_equal(_back(values, name), values)


def test_halves_take_half_the_room() -> None:
    assert PRECISIONS["float32"].record_size(256) == 1024
    assert PRECISIONS["float16"].record_size(256) == 516


def _back(values: NDArray[np.float32], name: InfluencePrecisionName) -> NDArray[np.float32]:
    precision = PRECISIONS[name]

    records = precision.pack(values)

    assert records.shape == (len(values), precision.record_size(values.shape[1]))

    return precision.unpack(records, values.shape[1])
