"""How a vector lies in a store: as float16, or as int8 with a scale of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from fairseq2_jest.embedding.errors import EmbeddingError

PrecisionName: TypeAlias = Literal["float16", "int8"]

_WORD = 4
_INT8_MAX = 127


class Precision(ABC):
    """Turns vectors into records and back. Records end with zeros up to a multiple of 4 bytes."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Part of the identity of a store."""

    @abstractmethod
    def record_size(self, dim: int) -> int:
        """Return the bytes of a record of ``dim`` values."""

    @abstractmethod
    def pack(self, vectors: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Return the records ``(n, record_size)`` of ``vectors`` ``(n, dim)``.

        :raises EmbeddingError: A value is not finite.
        """

    @abstractmethod
    def unpack(self, records: NDArray[np.uint8], dim: int) -> NDArray[np.float32]:
        """Return the vectors ``(n, dim)`` of ``records``; zeros for one that is all zeros."""


class Float16(Precision):
    @property
    @override
    def name(self) -> str:
        return "float16"

    @override
    def record_size(self, dim: int) -> int:
        return _padded(2 * dim)

    @override
    def pack(self, vectors: NDArray[np.floating]) -> NDArray[np.uint8]:
        # NumPy rounds to the same bits, but takes ten times as long.
        halves = torch.from_numpy(np.ascontiguousarray(vectors)).half()
        if not torch.isfinite(halves).all():
            raise _not_finite()
        return _pad(halves.numpy().view(np.uint8))

    @override
    def unpack(self, records: NDArray[np.uint8], dim: int) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = torch.from_numpy(records.view("<f2")).float().numpy()
        return vectors[:, :dim]


class Int8(Precision):
    """``round(127 v / max |v|)``, and ``max |v| / 127`` as float32."""

    @property
    @override
    def name(self) -> str:
        return "int8"

    @override
    def record_size(self, dim: int) -> int:
        return _padded(dim) + 4

    @override
    def pack(self, vectors: NDArray[np.floating]) -> NDArray[np.uint8]:
        wide = vectors.astype(np.float32)
        if not np.isfinite(wide).all():
            raise _not_finite()
        scales = (np.abs(wide).max(axis=1, keepdims=True) / _INT8_MAX).astype("<f4")
        levels = np.zeros_like(wide)
        np.divide(wide, scales, out=levels, where=scales > 0)
        # A subnormal scale rounds so coarsely that a level may come out beyond 127.
        bounded = np.clip(np.rint(levels), -_INT8_MAX, _INT8_MAX).astype(np.int8)
        return np.concatenate([_pad(bounded.view(np.uint8)), scales.view(np.uint8)], axis=1)

    @override
    def unpack(self, records: NDArray[np.uint8], dim: int) -> NDArray[np.float32]:
        scales = np.ascontiguousarray(records[:, -4:]).view("<f4")
        vectors: NDArray[np.float32] = records[:, :dim].view(np.int8) * scales
        return vectors


PRECISIONS: dict[PrecisionName, Precision] = {"float16": Float16(), "int8": Int8()}


def _padded(size: int) -> int:
    return -(-size // _WORD) * _WORD


def _pad(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if data.shape[1] % _WORD == 0:
        return data
    return np.pad(data, ((0, 0), (0, _padded(data.shape[1]) - data.shape[1])))


def _not_finite() -> EmbeddingError:
    return EmbeddingError(
        "Embeddings hold values that are not finite, or too large for float16: normalise them "
        "first."
    )
