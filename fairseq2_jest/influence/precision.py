"""How influences and features lie in a store; a row of NaN, which is not scored, stays that."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fairseq2_jest.embedding.precision import Precision

InfluencePrecisionName: TypeAlias = Literal["float32", "float16"]

_SMALLEST: Final = np.finfo(np.float16).smallest_subnormal


class Float32(Precision):
    @property
    @override
    def name(self) -> str:
        return "float32"

    @override
    def record_size(self, dim: int) -> int:
        return 4 * dim

    @override
    def pack(self, vectors: NDArray[np.floating]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(vectors, dtype="<f4").view(np.uint8)

    @override
    def unpack(self, records: NDArray[np.uint8], dim: int) -> NDArray[np.float32]:
        return records.view("<f4")


class ScaledFloat16(Precision):
    """``v / max |v|`` as float16, and ``max |v|`` as float32: no gradient is too small. What is too
    small beside the largest does not become zero, for its sign to stay."""

    @property
    @override
    def name(self) -> str:
        return "float16"

    @override
    def record_size(self, dim: int) -> int:
        return 4 * (-(-dim // 2) + 1)

    @override
    def pack(self, vectors: NDArray[np.floating]) -> NDArray[np.uint8]:
        num_vectors, dim = vectors.shape

        scales = np.abs(vectors).max(axis=1, keepdims=True).astype("<f4")

        halves = (vectors / np.where(scales > 0.0, scales, 1.0)).astype("<f2")

        is_lost = (halves == 0.0) & (vectors != 0.0)

        halves[is_lost] = np.copysign(_SMALLEST, vectors[is_lost])

        records = np.zeros((num_vectors, self.record_size(dim)), dtype=np.uint8)

        records[:, : 2 * dim] = halves.view(np.uint8)
        records[:, -4:] = scales.view(np.uint8)

        return records

    @override
    def unpack(self, records: NDArray[np.uint8], dim: int) -> NDArray[np.float32]:
        halves = np.ascontiguousarray(records[:, : 2 * dim]).view("<f2")

        scales = np.ascontiguousarray(records[:, -4:]).view("<f4")

        vectors: NDArray[np.float32] = halves.astype(np.float32) * scales

        return vectors


PRECISIONS: Final[dict[InfluencePrecisionName, Precision]] = {
    "float32": Float32(),
    "float16": ScaledFloat16(),
}
