"""An encoder that needs no model: what it makes of a text depends on the text alone."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fairseq2_jest.embedding.reference import ReferenceEncoder


class HashingEncoder(ReferenceEncoder):
    """A random direction for each text; counts the texts that it was given."""

    def __init__(self, dim: int = 8, name: str = "hashing") -> None:
        self._dim = dim
        self._name = name
        self.num_encoded = 0

    @override
    def encode(self, texts: Sequence[str], lang: str | None = None) -> NDArray[np.float32]:
        self.num_encoded += len(texts)

        seeds = np.array([zlib.crc32(text.encode()) for text in texts], dtype=np.uint64)

        # SplitMix64 of the seed and the place, cheap enough for 200,000 texts.
        values = seeds[:, None] + np.arange(1, self._dim + 1, dtype=np.uint64) * np.uint64(
            0x9E3779B97F4A7C15
        )
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)

        vectors = (values >> np.uint64(40)).astype(np.float32) / np.float32(1 << 23) - np.float32(1)

        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        return unit

    @property
    @override
    def dim(self) -> int:
        return self._dim

    @property
    @override
    def identity(self) -> Mapping[str, str]:
        return {"encoder": self._name}


class NumberedPairs:
    """``s3`` and ``t3`` are the texts of row 3; holds none of them."""

    def texts(self, rows: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        return [f"s{row}" for row in rows.tolist()], [f"t{row}" for row in rows.tolist()]
