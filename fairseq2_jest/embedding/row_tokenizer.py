"""Rows of a corpus as tokens, for any kind of model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from fairseq2.data.tokenizers import Tokenizer
from numpy.typing import NDArray
from torch import Tensor

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.embedding.tokens import TokenizedPairs


class RowTokenizer(ABC):
    """Turns rows of a corpus into tokens; a pair that is too long for a model is left out."""

    def __init__(
        self, corpus: Corpus, tokenizer: Tokenizer, *, max_seq_len: int, tag_synthetic: bool
    ) -> None:
        """
        :param max_seq_len: The most tokens in a sequence, special tokens included.
        :param tag_synthetic: Whether sources that were made by a model are marked as such.
        """
        self._corpus = corpus
        self._encode_text = tokenizer.create_raw_encoder()
        self._max_seq_len = max_seq_len
        self._tag_synthetic = tag_synthetic and corpus.has_synthetic

    def __call__(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], TokenizedPairs]:
        """Returns the rows that fit and their tokens, without special tokens."""
        sources, targets = self._corpus.texts(rows)

        directions = [self._corpus.directions[i] for i in self._corpus.direction_index(rows)]

        pairs = TokenizedPairs(
            source=self._encode(sources),
            target=self._encode(targets),
            source_langs=[direction.source for direction in directions],
            target_langs=[direction.target for direction in directions],
            synthetic=self._corpus.synthetic(rows).tolist() if self._tag_synthetic else None,
        )

        pairs = self._complete(pairs, sources, directions)

        fitting = [
            i for i, length in enumerate(self._lengths(pairs)) if length <= self._max_seq_len
        ]

        return rows[fitting], pairs.take(fitting)

    def _encode(self, texts: Sequence[str]) -> list[Tensor]:
        return [self._encode_text(text).long() for text in texts]

    def _complete(
        self, pairs: TokenizedPairs, sources: Sequence[str], directions: Sequence[Direction]
    ) -> TokenizedPairs:
        """Adds what a kind of model needs beside the sides of N pairs.

        :param sources: Their N texts.
        :param directions: Their N directions.
        """
        return pairs

    @abstractmethod
    def _lengths(self, pairs: TokenizedPairs) -> Sequence[int]:
        """Of each pair, the tokens of the longest sequence that a model is given."""
