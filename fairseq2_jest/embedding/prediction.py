"""How much room and time a fill will take, said before it begins."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from fairseq2_jest.embedding.cached import CachedReference

_MAX_WARM_UP = 64


@dataclass(frozen=True, kw_only=True)
class FillSize:
    """The room that a store takes."""

    num_rows: int
    """Pairs of the corpus."""

    num_missing: int
    """Pairs of which a side was never embedded; damaged ones are found later."""

    num_bytes: int
    """Of the full store on the disk, scores and checksums included."""

    num_missing_bytes: int
    """Of these, those that are not yet allocated."""


def predict_size(reference: CachedReference) -> FillSize:
    """Return the size of the store of ``reference``.

    :raises EmbeddingError: The store cannot be read.
    """
    files = [*(store.file for store in reference.stores), reference.score_store.file]
    num_bytes = sum(file.size for file in files)
    return FillSize(
        num_rows=reference.num_rows,
        num_missing=reference.num_rows - count_complete(reference),
        num_bytes=num_bytes,
        num_missing_bytes=max(0, num_bytes - sum(file.allocated() for file in files)),
    )


def time_sample(reference: CachedReference, num_pairs: int) -> float:
    """Return the pairs a second at which this process embeds, by a sample that is not kept.

    :param num_pairs: At least 1. They are taken evenly from the whole corpus.
    :raises EmbeddingError: The encoder fails.
    """
    rows = np.unique(np.linspace(0, reference.num_rows - 1, num_pairs).astype(np.int64))
    source, target = reference.corpus.texts(rows)
    # The first batch of a process is slow: kernels are chosen and memory is got.
    reference.encoder.encode(list(source[:_MAX_WARM_UP]))
    begin = perf_counter()
    for texts in (source, target):
        reference.encoder.encode(texts)
    return len(rows) / (perf_counter() - begin)


def count_complete(reference: CachedReference) -> int:
    """Return how many pairs have been embedded, damaged ones included.

    :raises EmbeddingError: The store cannot be read.
    """
    return min(store.file.count() for store in reference.stores)
