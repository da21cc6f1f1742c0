"""What of the reference's embeddings is kept, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fairseq2.utils.validation import ValidationResult

from fairseq2_jest.embedding.precision import PrecisionName


@dataclass(frozen=True, kw_only=True)
class ReferenceStoreConfig:
    """The store of reference embeddings; a run is served only from one with the same settings."""

    precision: PrecisionName = "float16"
    """``int8``, with a scale for each vector, takes half the room."""

    dim: int | None = None
    """Dimensions to keep; ``None`` for all."""

    reduction: Literal["first", "orthogonal"] = "first"
    """Which ones: the ``first``, for models trained for it (Matryoshka), or a random ``orthogonal``
    projection, for any model."""

    seed: int = 1
    """Decides the orthogonal projection."""

    chunk_size: int = 8192
    """Pairs that a fill encodes together, sorted by length, and stores at once: what a kill costs
    at most. Also the pairs under one checksum of the scores."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()
        if self.dim is not None and self.dim < 1:
            result.add_error(f"`dim` must be at least 1 or null, but is {self.dim}.")
        if self.seed < 0:
            result.add_error(f"`seed` must not be negative, but is {self.seed}.")
        if self.chunk_size < 1:
            result.add_error(f"`chunk_size` must be at least 1, but is {self.chunk_size}.")
        return result
