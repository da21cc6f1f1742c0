"""Micro-batches of a sub-batch."""

from __future__ import annotations

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.datasets import Seq2SeqBatch

from fairseq2_jest.embedding.tokens import (
    SequenceFormats,
    TokenizedPairs,
    batches_by_length,
    pad,
)
from fairseq2_jest.selection.errors import SelectionError


class MicroBatcher:
    """Collates pairs of like length into padded batches within a budget of tokens."""

    def __init__(self, tokenizer: Tokenizer, *, max_num_tokens: int) -> None:
        """
        :param max_num_tokens: The most tokens of either side in a micro-batch, padding included.

        :raises SelectionError: The tokenizer has no padding token.
        """
        pad_idx = tokenizer.vocab_info.pad_idx
        if pad_idx is None:
            raise SelectionError("The tokenizer has no padding token, which batches need.")

        self._formats = SequenceFormats(tokenizer)
        self._pad_idx = pad_idx
        self._max_num_tokens = max_num_tokens

    def batches(
        self, pairs: TokenizedPairs, *, rank: int = 0, num_ranks: int = 1
    ) -> list[Seq2SeqBatch]:
        """The micro-batches of one rank; every rank gets equally many, of like length.

        :raises SelectionError: There are fewer pairs than ranks.
        """
        if len(pairs) < num_ranks:
            raise SelectionError(
                f"A sub-batch of {len(pairs)} pair(s) cannot be shared by {num_ranks} ranks; "
                f"choose a larger super_batch_size or a smaller filter_ratio."
            )

        lengths = [
            max(len(source), len(target))
            for source, target in zip(pairs.source, pairs.target, strict=True)
        ]

        # The budget of all ranks together is cut, then each batch is dealt out; so the numbers of
        # micro-batches agree without a word between the ranks.
        budget = self._max_num_tokens * num_ranks

        groups = list(batches_by_length([length + 4 for length in lengths], budget))

        if len(groups) > 1 and len(groups[-1]) < num_ranks:
            groups[-2:] = [groups[-2] + groups[-1]]

        return [self.collate(pairs.take(group[rank::num_ranks])) for group in groups]

    def collate(self, pairs: TokenizedPairs, *, example: object = None) -> Seq2SeqBatch:
        """One padded batch of the given pairs, in their order; ``example`` is carried along."""
        sources = [
            self._formats.get(lang, "source")(tokens)
            for lang, tokens in zip(pairs.source_langs, pairs.source, strict=True)
        ]
        targets = [
            self._formats.get(lang, "target")(tokens)
            for lang, tokens in zip(pairs.target_langs, pairs.target, strict=True)
        ]

        source_seqs, source_lens = pad(sources, self._pad_idx)
        target_seqs, target_lens = pad(targets, self._pad_idx)

        return Seq2SeqBatch(source_seqs, source_lens, target_seqs, target_lens, example=example)
