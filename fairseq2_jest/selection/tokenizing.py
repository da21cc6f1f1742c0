"""Super-batches of token sequences, read ahead of the training step."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
from fairseq2.data.tokenizers import Tokenizer
from numpy.typing import NDArray
from typing_extensions import override

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding.row_tokenizer import RowTokenizer
from fairseq2_jest.embedding.tokens import PairReader, SequenceFormats, TokenizedPairs
from fairseq2_jest.selection.errors import SelectionError

_MAX_DRAWS: Final = 1000
"""How often a super-batch is filled up: a few times, unless weights are hundreds apart and it is
about as large as the corpus."""


@dataclass(frozen=True, kw_only=True)
class TokenizedSuperBatch:
    """The candidates of one step, with the sampler's state after they were read."""

    rows: NDArray[np.int64]
    """The rows of the corpus."""

    pairs: TokenizedPairs
    """Their tokens."""

    num_too_long: int
    """How many rows were passed over because they exceed the sequence length."""

    sampler_state: dict[str, object]
    """What the next super-batch is read from."""


class PairTokenizer(RowTokenizer):
    """Turns rows of a corpus into tokens; a pair with a side beyond ``max_seq_len`` is left out."""

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        *,
        max_seq_len: int,
        tag_synthetic: bool = True,
    ) -> None:
        """
        :param max_seq_len: The most tokens in a sequence, special tokens included.
        :param tag_synthetic: Whether sources that were made by a model are marked as such.

        :raises fairseq2.error.NotSupportedError: The tokenizer lacks a language of the corpus.
        """
        super().__init__(corpus, tokenizer, max_seq_len=max_seq_len, tag_synthetic=tag_synthetic)

        self._formats = SequenceFormats(tokenizer)

        for direction in corpus.directions:
            for lang in direction:
                self._formats.get(lang, "source")

    @override
    def _lengths(self, pairs: TokenizedPairs) -> Sequence[int]:
        sides = (
            self._formats.source_lengths(pairs),
            # As the learner's encoder sees it, and as the decoder does.
            self._formats.lengths(pairs.target, pairs.target_langs, "source"),
            self._formats.lengths(pairs.target, pairs.target_langs, "target"),
        )

        return [max(lengths) for lengths in zip(*sides, strict=True)]


class SuperBatchReader:
    """Reads and tokenises super-batches one ahead, in a thread of its own."""

    def __init__(
        self, sampler: CorpusSampler, tokenizer: PairReader, super_batch_size: int
    ) -> None:
        self._sampler = sampler
        self._tokenizer = tokenizer
        self._super_batch_size = super_batch_size
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="super-batch")
        self._ahead: Future[TokenizedSuperBatch] | None = None
        self._state = sampler.state_dict()

    def read(self) -> TokenizedSuperBatch:
        """Returns the next super-batch and starts on the one after it."""
        current = self._ahead or self._submit()

        super_batch = current.result()

        self._state = super_batch.sampler_state

        self._ahead = self._submit()

        return super_batch

    def _submit(self) -> Future[TokenizedSuperBatch]:
        return self._executor.submit(self._read)

    def _read(self) -> TokenizedSuperBatch:
        rows = self._next_rows()

        kept, pairs = self._tokenizer(rows)

        return TokenizedSuperBatch(
            rows=kept,
            pairs=pairs,
            num_too_long=len(rows) - len(kept),
            sampler_state=self._sampler.state_dict(),
        )

    def _next_rows(self) -> NDArray[np.int64]:
        """As many different rows; where one epoch ends and the next begins, one may come twice.

        :raises SelectionError: Too many come again and again.
        """
        size = min(self._super_batch_size, self._sampler.num_rows)

        rows = np.empty(0, dtype=np.int64)

        for _ in range(_MAX_DRAWS):
            rows = np.concatenate([rows, self._sampler.next_rows(size - len(rows))])
            rows = rows[np.sort(np.unique(rows, return_index=True)[1])]

            if len(rows) == size:
                return rows

        raise SelectionError(
            f"No super-batch of {size:,} different pairs comes together, since some corpora are "
            f"seen far more often than others; choose a smaller super-batch in "
            f"batch_selector.config, or weights of the corpora that are nearer to each other."
        )

    def state_dict(self) -> dict[str, object]:
        """The position behind the last super-batch handed out; what was read ahead is not in it."""
        return self._state

    def load_state_dict(self, state: dict[str, object]) -> None:
        if self._ahead is not None:
            self._ahead.result()

            self._ahead = None

        self._sampler.load_state_dict(state)

        self._state = self._sampler.state_dict()
