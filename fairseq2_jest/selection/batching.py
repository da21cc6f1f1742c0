"""Micro-batches of a sub-batch."""

from __future__ import annotations

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.datasets import Seq2SeqBatch

from fairseq2_jest.embedding.pair_format import EncoderDecoderFormat, PairFormat
from fairseq2_jest.embedding.tokens import TokenizedPairs, batches_by_length, pad
from fairseq2_jest.selection.errors import SelectionError


class MicroBatcher:
    """Collates pairs of like length into padded batches within a budget of tokens."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_num_tokens: int,
        pair_format: PairFormat | None = None,
    ) -> None:
        """
        :param max_num_tokens: The most tokens of a pass through the model, padding included: of
            either side, or of both where they go through it as one sequence; only a pair that
            several ranks cannot share out may come on top.
        :param pair_format: By default that of encoder-decoder models.

        :raises EmbeddingError: The tokenizer has no padding token.
        """
        self._format = EncoderDecoderFormat(tokenizer) if pair_format is None else pair_format
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

        lengths = self.lengths(pairs)

        by_length = sorted(range(len(pairs)), key=lambda i: (-lengths[i], i))

        # The ranks take turns at pairs of like length; whole rounds are batched, so the numbers of
        # micro-batches agree without a word between the ranks.
        rounds = [by_length[i : i + num_ranks] for i in range(0, len(pairs), num_ranks)]

        groups = list(
            batches_by_length([lengths[members[0]] for members in rounds], self._max_num_tokens)
        )

        # Not every rank has a pair in the last round, but each needs one in every batch.
        if len(rounds[-1]) < num_ranks and len(groups[-1]) == 1:
            last = [groups.pop()[0]]

            if len(groups[-1]) == 1:
                groups[-1] += last
            else:
                groups.append([groups[-1].pop(), *last])

        return [
            self.collate(pairs.take([rounds[i][rank] for i in group if rank < len(rounds[i])]))
            for group in groups
        ]

    def lengths(self, pairs: TokenizedPairs) -> list[int]:
        """The tokens of each pair in a pass through the model, special tokens included."""
        return self._format.pass_lengths(pairs)

    def num_tokens(self, pairs: TokenizedPairs) -> tuple[int, int]:
        """The tokens of all pairs that are read, and those that are predicted from."""
        return self._format.num_tokens(pairs)

    def collate(self, pairs: TokenizedPairs, *, example: object = None) -> Seq2SeqBatch:
        """One padded batch of the given pairs, in their order; ``example`` is carried along."""
        sources, targets = self._format.sequences(pairs)

        source_seqs, source_lens = pad(sources, self._format.pad_idx)
        target_seqs, target_lens = pad(targets, self._format.pad_idx)

        return Seq2SeqBatch(source_seqs, source_lens, target_seqs, target_lens, example=example)
