"""Reads one direction of a validation corpus, once through."""

from __future__ import annotations

import numpy as np
from fairseq2.datasets import DataReader, Seq2SeqBatch
from fairseq2.gang import Gang
from numpy.typing import NDArray
from typing_extensions import Self

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.embedding.tokens import batches_by_length
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.tokenizing import PairTokenizer


class ValidationReader(DataReader[Seq2SeqBatch]):
    """Hands out batches with their reference texts in ``example``; ranks take turns.

    A rank that is done returns empty lists until the last one is, so that no pair is lost.
    """

    def __init__(
        self,
        corpus: Corpus,
        rows: NDArray[np.int64],
        tokenizer: PairTokenizer,
        batcher: MicroBatcher,
        gang: Gang,
        *,
        max_num_tokens: int,
    ) -> None:
        """
        :param rows: The rows of one direction, in the order to translate a part of them by.
        """
        self._corpus = corpus
        self._tokenizer = tokenizer
        self._batcher = batcher
        self._gang = gang

        kept, pairs = tokenizer(rows)

        lengths = [
            max(len(source), len(target)) + 4
            for source, target in zip(pairs.source, pairs.target, strict=True)
        ]

        groups = [np.asarray(group) for group in batches_by_length(lengths, max_num_tokens)]

        # Not by length: the first of them are the ones that are translated.
        groups.sort(key=lambda group: int(group.min()))

        self._batches = [kept[group] for group in groups]
        self._next = 0

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Seq2SeqBatch]:
        begin = self._next

        if begin >= len(self._batches):
            raise StopIteration

        self._next = begin + self._gang.size

        mine = begin + self._gang.rank

        return [self._batch(self._batches[mine])] if mine < len(self._batches) else []

    def _batch(self, rows: NDArray[np.int64]) -> Seq2SeqBatch:
        _, pairs = self._tokenizer(rows)

        _, references = self._corpus.texts(rows)

        return self._batcher.collate(pairs, example=list(references))

    def reset(self) -> None:
        self._next = 0

    def state_dict(self) -> dict[str, object]:
        return {"next": self._next}

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        position = state_dict["next"]

        assert isinstance(position, int)

        self._next = position

    @property
    def num_accumulate(self) -> int:
        return 1


def rows_of_direction(corpus: Corpus, index: int) -> NDArray[np.int64]:
    """The rows of a corpus that are in the direction ``corpus.directions[index]``."""
    rows = np.arange(len(corpus), dtype=np.int64)

    return rows[np.asarray(corpus.direction_index(rows)) == index]


