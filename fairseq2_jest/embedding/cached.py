"""Reference embeddings of corpus rows: from the store where it has them, else made and kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.cache import cache_dir
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.reduction import ReducedEncoder
from fairseq2_jest.embedding.reference import ReferenceEncoder
from fairseq2_jest.embedding.scores import ScoreStore
from fairseq2_jest.embedding.store import EmbeddingStore
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig


class PairTexts(Protocol):
    """What is asked of a corpus: the texts of its rows."""

    def texts(self, rows: NDArray[np.int64]) -> tuple[Sequence[str], Sequence[str]]:
        """Return the source texts and the target texts of ``rows`` ``(n,)``, in that order."""


class CachedReference:
    """The reference's view of pairs, each text embedded once and kept on disk.

    What :meth:`embed` returns is what the store holds, always: it is the same bits whether it was
    made just now, by another process, or long ago. Rows that one call lacks are encoded together
    and stored all or none, so that a run that was killed and resumed encodes the same batches as
    one that was not. Whether a row's bits depend on the rows beside it is up to the encoder: never
    for StaticEmbedding, whose vector is a mean of token vectors; for a transformer, padding may
    change the last bits, which rounding to float16 hides mostly but not always; an ONNX file in
    int8 scales activations by the whole batch, so that its vectors may differ by some hundredths.

    :class:`~fairseq2_jest.embedding.fill.Filler` fills the store ahead of time.
    """

    def __init__(
        self,
        encoder: ReferenceEncoder,
        source_store: EmbeddingStore,
        target_store: EmbeddingStore,
        score_store: ScoreStore,
        corpus: PairTexts,
    ) -> None:
        self._encoder = encoder
        self._stores = (source_store, target_store)
        self._score_store = score_store
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
        config: ReferenceStoreConfig | None = None,
    ) -> CachedReference:
        """Open, or make, the stores of a corpus for ``encoder``.

        :param corpus_digest: Changes whenever the text of any row does.
        :param folder: Where stores live; by default ``embeddings`` in the cache folder.
        :param config: Precision and dimension; by default float16 and all dimensions.
        :raises EmbeddingError: A store cannot be opened, or the encoder has too few dimensions.
        """
        if folder is None:
            folder = cache_dir() / "embeddings"
        if config is None:
            config = ReferenceStoreConfig()
        if config.dim is not None:
            encoder = ReducedEncoder(encoder, config)
        identity = {
            **{f"encoder.{key}": value for key, value in encoder.identity.items()},
            "corpus": corpus_digest,
        }
        source_store, target_store = (
            EmbeddingStore.open(
                folder,
                identity={**identity, "side": side},
                dim=encoder.dim,
                num_rows=num_rows,
                precision=config.precision,
            )
            for side in ("source", "target")
        )
        score_store = ScoreStore.open(
            folder,
            identity={**identity, "precision": config.precision, "dim": str(encoder.dim)},
            num_rows=num_rows,
            chunk_size=config.chunk_size,
        )
        return cls(encoder, source_store, target_store, score_store, corpus)

    @property
    def dim(self) -> int:
        """The length ``d`` of an embedding."""
        return self._encoder.dim

    @property
    def num_rows(self) -> int:
        """How many rows the corpus has."""
        return self._stores[0].num_rows

    @property
    def encoder(self) -> ReferenceEncoder:
        """What makes the embeddings, reduced already."""
        return self._encoder

    @property
    def corpus(self) -> PairTexts:
        return self._corpus

    @property
    def stores(self) -> tuple[EmbeddingStore, EmbeddingStore]:
        """The stores of the source and of the target side."""
        return self._stores

    @property
    def score_store(self) -> ScoreStore:
        """The scores that :meth:`scores` hands out."""
        return self._score_store

    def embed(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the source and the target embeddings of ``rows``.

        :param rows: ``(n,)`` int64, repeats allowed.
        :returns: ``C`` and ``E``, each ``(n, d)``, of length 1 (or 0 where the encoder finds
            nothing in a text).
        :raises EmbeddingError: A row is out of range, a text is empty, the encoder fails, or
            the store cannot be read or written.
        """
        distinct, inverse = np.unique(rows, return_inverse=True)
        views = [store.lookup(distinct) for store in self._stores]
        lacking = np.flatnonzero(~(views[0][1] & views[1][1]))
        if len(lacking) > 0:
            both_texts = self._corpus.texts(distinct[lacking])
            for store, (vectors, has), texts in zip(self._stores, views, both_texts, strict=True):
                wanted = np.flatnonzero(~has[lacking])
                if len(wanted) == 0:
                    continue
                made = self._encoder.encode([texts[i] for i in wanted.tolist()])
                store.write(distinct[lacking[wanted]], made)
                # Not what was made: it is rounded now, or another process was faster.
                vectors[lacking[wanted]] = store.read(distinct[lacking[wanted]])
        source, target = (_normalise(vectors)[inverse] for vectors, _ in views)
        return source, target

    def scores(self) -> NDArray[np.float32]:
        """Return the cosine of source and target embedding of every row of the corpus.

        What is missing is filled first, together with the embeddings that it takes: see
        :class:`~fairseq2_jest.embedding.fill.Filler`. Processes that call this at the same time
        share the work.

        :returns: ``(num_rows,)``, memory-mapped and read-only; each checksum has been verified.
        :raises EmbeddingError: As :meth:`embed`.
        """
        from fairseq2_jest.embedding.fill import Filler

        store = self._score_store
        lacking = [chunk for chunk in range(store.num_chunks) if store.read(chunk) is None]
        if lacking:
            Filler(self).run(lacking, verify=False)
            for chunk in lacking:
                if store.read(chunk) is None:
                    raise EmbeddingError(
                        f"{store.file.path} does not keep what is written to it: check the disk."
                    )
        return store.map()


def _normalise(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    # einsum adds in one order whatever the number of rows, which np.linalg.norm may not.
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    unit = np.zeros_like(vectors)
    np.divide(vectors, norms, out=unit, where=norms > 0)
    return unit
