"""Filling the store of a corpus ahead of time, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.claims import Claims


class Filler:
    """Completes chunks of a store: embeddings of both sides, and scores.

    Any number of processes may fill one store: each chunk is claimed by one of them, and comes out
    the same whoever it is. Memory does not grow with the corpus. A kill costs a process the chunk
    it was at; the next fill verifies what is there and makes what is missing or damaged.
    """

    def __init__(
        self, reference: CachedReference, *, on_chunk: Callable[[int], None] | None = None
    ) -> None:
        """
        :param on_chunk: Called with a chunk whenever one has been seen to; may raise, to stop.
        """
        self._reference = reference
        self._on_chunk = on_chunk

    @staticmethod
    def claims_path(reference: CachedReference) -> Path:
        """Where processes tell each other what they are at."""
        return reference.score_store.file.path.with_name("claims.lock")

    def run(self, chunks: Iterable[int], *, verify: bool) -> None:
        """Complete ``chunks``; those that another process is at come last.

        :param verify: Whether to read each embedding, too; else a chunk with scores is complete.
        :raises EmbeddingError: As :meth:`CachedReference.embed`.
        """
        claims = Claims(self.claims_path(self._reference))
        waiting = []
        try:
            for chunk in chunks:
                with claims.take(chunk, wait=False) as is_taken:
                    if is_taken:
                        self._complete(chunk, verify)
                    else:
                        waiting.append(chunk)
            for chunk in waiting:
                with claims.take(chunk, wait=True):
                    self._complete(chunk, verify)
        finally:
            claims.close()

    def _complete(self, chunk: int, verify: bool) -> None:
        store = self._reference.score_store
        held = store.read(chunk)
        if verify or held is None:
            source, target = self._reference.embed(store.rows(chunk))
            scores = np.einsum("nd,nd->n", source, target)
            # A vector that was made anew may differ in its last bits.
            if held is None or not np.array_equal(held, scores):
                store.write(chunk, scores)
        if self._on_chunk is not None:
            self._on_chunk(chunk)


def chunks_of_rank(num_chunks: int, rank: int, num_ranks: int) -> tuple[range, list[int]]:
    """Return the chunks that ``rank`` verifies and fills, and those that it helps with after.

    The latter are the others' own, those that come last first, so that ranks of unequal speed end
    together.
    """
    own = range(rank, num_chunks, num_ranks)
    others = [chunk for chunk in reversed(range(num_chunks)) if chunk % num_ranks != rank]
    return own, others


def merge(reference: CachedReference, folder: Path, chunks: Sequence[int]) -> int:
    """Copy to ``reference`` what it lacks of ``chunks`` and the same store under ``folder`` holds.

    :param folder: Another place where stores live, such as one that was filled elsewhere.
    :returns: How many embeddings were copied, each side counted.
    :raises EmbeddingError: There is no such store, or one cannot be read or written.
    """
    total = 0
    for store in reference.stores:
        theirs = store.file.open_under(folder)
        for chunk in chunks:
            missing = store.missing(reference.score_store.rows(chunk))
            records, sound = theirs.read(missing)
            if sound.any():
                store.file.write(missing[sound], records[sound])
                total += int(sound.sum())
    return total
