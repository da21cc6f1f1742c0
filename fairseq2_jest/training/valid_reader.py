"""Reads one direction of a validation corpus, once through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fairseq2.datasets import DataReader, Seq2SeqBatch
from fairseq2.gang import Gang
from numpy.typing import NDArray
from typing_extensions import Self

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.embedding.tokens import PairReader, TokenizedPairs, batches_by_length
from fairseq2_jest.selection.batching import MicroBatcher


@dataclass(frozen=True, kw_only=True)
class ValidationTexts:
    """The texts of a batch that is to be translated."""

    rows: Sequence[int]
    """Where they are in the corpus."""

    sources: Sequence[str]

    references: Sequence[str]


class ValidationReader(DataReader[Seq2SeqBatch]):
    """Hands out batches; those to be translated carry their texts in ``example``.

    Ranks take turns; one that is done returns empty lists until the last one is, so that no pair
    is lost.
    """

    def __init__(
        self,
        corpus: Corpus,
        rows: NDArray[np.int64],
        tokenizer: PairReader,
        batcher: MicroBatcher,
        gang: Gang,
        *,
        max_num_tokens: int,
        num_translated: int | None = None,
    ) -> None:
        """
        :param rows: The rows of one direction.
        :param num_translated: How many of them, from the first, are to be translated; ``None`` for
            all.
        """
        self._corpus = corpus
        self._batcher = batcher
        self._gang = gang

        self.num_kept = 0
        """How many pairs are scored."""

        limit = len(rows) if num_translated is None else num_translated

        self._batches = [
            *((*batch, True) for batch in self._group(tokenizer, rows[:limit], max_num_tokens)),
            *((*batch, False) for batch in self._group(tokenizer, rows[limit:], max_num_tokens)),
        ]
        self._next = 0

        self.num_too_long = len(rows) - self.num_kept
        """How many are not, since they exceed the sequence length."""

    def _group(
        self, tokenizer: PairReader, rows: NDArray[np.int64], max_num_tokens: int
    ) -> list[tuple[NDArray[np.int64], TokenizedPairs]]:
        kept, pairs = tokenizer(rows)

        self.num_kept += len(kept)

        lengths = self._batcher.lengths(pairs)

        return [
            (kept[group], pairs.take(group)) for group in batches_by_length(lengths, max_num_tokens)
        ]

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Seq2SeqBatch]:
        begin = self._next

        if begin >= len(self._batches):
            raise StopIteration

        self._next = begin + self._gang.size

        mine = begin + self._gang.rank

        return [self._batch(*self._batches[mine])] if mine < len(self._batches) else []

    def _batch(
        self, rows: NDArray[np.int64], pairs: TokenizedPairs, translated: bool
    ) -> Seq2SeqBatch:
        return self._batcher.collate(pairs, example=self._texts(rows) if translated else None)

    def _texts(self, rows: NDArray[np.int64]) -> ValidationTexts:
        sources, references = self._corpus.texts(rows)

        return ValidationTexts(rows=rows.tolist(), sources=sources, references=references)

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

    in_direction: NDArray[np.int64] = rows[corpus.direction_index(rows) == index]

    return in_direction
