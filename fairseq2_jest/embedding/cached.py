"""Reference embeddings of corpus rows: from the store where it has them, else made and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.cache import cache_dir
from fairseq2_jest.embedding.reference import ReferenceEncoder
from fairseq2_jest.embedding.store import EmbeddingStore


class PairTexts(Protocol):
    """What is asked of a corpus: the texts of its rows."""

    def texts(self, rows: NDArray[np.int64]) -> tuple[Sequence[str], Sequence[str]]:
        """Return the source texts and the target texts of ``rows`` ``(n,)``, in that order."""


class CachedReference:
    """The reference's view of pairs, each text embedded once and kept on disk.

    What :meth:`embed` returns is rounded to float16 first, always: it is the same bits whether
    it was made just now or read back. Rows that one call lacks are encoded together and stored
    all or none, so that a run that was killed and resumed encodes the same batches as one that
    was not. Whether a row's bits depend on the rows beside it is up to the encoder: never for
    StaticEmbedding, whose vector is a mean of token vectors; for a transformer, padding may
    change the last bits, which rounding to float16 hides mostly but not always.
    """

    def __init__(
        self,
        encoder: ReferenceEncoder,
        source_store: EmbeddingStore,
        target_store: EmbeddingStore,
        corpus: PairTexts,
    ) -> None:
        self._encoder = encoder
        self._source_store = source_store
        self._target_store = target_store
        self._corpus = corpus

    @classmethod
    def open(
        cls,
        encoder: ReferenceEncoder,
        corpus: PairTexts,
        *,
        corpus_digest: str,
        num_rows: int,
        folder: Path | None = None,
    ) -> CachedReference:
        """Open, or make, the two stores of a corpus for ``encoder``.

        :param corpus_digest: Changes whenever the text of any row does.
        :param folder: Where stores live; by default ``embeddings`` in the cache folder.
        :raises EmbeddingError: A store cannot be opened.
        """
        if folder is None:
            folder = cache_dir() / "embeddings"
        source_store, target_store = (
            EmbeddingStore.open(
                folder,
                identity={
                    **{f"encoder.{key}": value for key, value in encoder.identity.items()},
                    "corpus": corpus_digest,
                    "side": side,
                },
                dim=encoder.dim,
                num_rows=num_rows,
            )
            for side in ("source", "target")
        )
        return cls(encoder, source_store, target_store, corpus)

    @property
    def dim(self) -> int:
        """The length ``d`` of an embedding."""
        return self._encoder.dim

    def embed(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the source and the target embeddings of ``rows``.

        :param rows: ``(n,)`` int64, repeats allowed.
        :returns: ``C`` and ``E``, each ``(n, d)``, of length 1 (or 0 where the encoder finds
            nothing in a text).
        :raises EmbeddingError: A row is out of range, a text is empty, the encoder fails, or
            the store cannot be read or written.
        """
        distinct, inverse = np.unique(rows, return_inverse=True)
        source, has_source = self._source_store.lookup(distinct)
        target, has_target = self._target_store.lookup(distinct)

        lacking = np.flatnonzero(~(has_source & has_target))
        if len(lacking) > 0:
            source_texts, target_texts = self._corpus.texts(distinct[lacking])
            for store, vectors, has, texts in (
                (self._source_store, source, has_source, source_texts),
                (self._target_store, target, has_target, target_texts),
            ):
                wanted = np.flatnonzero(~has[lacking]).tolist()
                if len(wanted) == 0:
                    continue
                made = self._encoder.encode([texts[i] for i in wanted]).astype(np.float16)
                store.write(distinct[lacking[wanted]], made)
                vectors[lacking[wanted]] = made
        return _normalise(source)[inverse], _normalise(target)[inverse]


def _normalise(vectors: NDArray[np.float16]) -> NDArray[np.float32]:
    wide = vectors.astype(np.float32)
    # einsum adds in one order whatever the number of rows, which np.linalg.norm may not.
    norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))[:, None]
    unit = np.zeros_like(wide)
    np.divide(wide, norms, out=unit, where=norms > 0)
    return unit
