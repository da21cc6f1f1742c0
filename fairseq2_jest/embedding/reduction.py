"""Shorter embeddings of the same reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.reference import ReferenceEncoder
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig


class ReducedEncoder(ReferenceEncoder):
    """Embeddings cut or projected to fewer dimensions, then brought to length 1 again.

    ``first`` keeps the first dimensions, which is meant for models that were trained for it
    (Matryoshka). ``orthogonal`` projects to a random subspace, which keeps cosines of any model
    up to an error of about ``1 / sqrt(dim)``.
    """

    def __init__(self, inner: ReferenceEncoder, config: ReferenceStoreConfig) -> None:
        """
        :param config: Its ``dim`` must be set.
        :raises EmbeddingError: ``inner`` has no more dimensions than ``dim``.
        """
        if config.dim is None or config.dim >= inner.dim:
            raise EmbeddingError(
                f"`reference_store.dim` must be less than {inner.dim}, the dimension of the "
                f"reference, but is {config.dim}: set it lower, or to null to keep all."
            )
        self._inner = inner
        self._config = config
        self._projection = (
            _orthogonal(inner.dim, config.dim, config.seed)
            if config.reduction == "orthogonal"
            else None
        )
        self._dim = config.dim

    @override
    def encode(self, texts: Sequence[str], lang: str | None = None) -> NDArray[np.float32]:
        vectors = self._inner.encode(texts, lang)
        vectors = (
            vectors[:, : self._dim] if self._projection is None else vectors @ self._projection
        )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: NDArray[np.float32] = np.zeros_like(vectors)
        np.divide(vectors, norms, out=unit, where=norms > 0)
        return unit

    @property
    @override
    def dim(self) -> int:
        return self._dim

    @property
    @override
    def identity(self) -> Mapping[str, str]:
        reduction: str = self._config.reduction
        if self._projection is not None:
            reduction = f"{reduction}, seed {self._config.seed}"
        return {**self._inner.identity, "reduction": f"{reduction}, {self._inner.dim}"}


def _orthogonal(dim: int, reduced_dim: int, seed: int) -> NDArray[np.float32]:
    """Return ``(dim, reduced_dim)`` orthonormal columns, uniform over all."""
    generator = np.random.Generator(np.random.Philox(seed))
    q, r = np.linalg.qr(generator.standard_normal((dim, reduced_dim)))
    # Without the signs of R the columns of Q are not uniform.
    return (q * np.sign(np.diag(r))).astype(np.float32)
