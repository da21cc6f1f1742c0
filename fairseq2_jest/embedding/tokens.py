"""Token sequences of pairs, and their grouping into batches of like length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from fairseq2.data.tokenizers import TokenEncoder, Tokenizer
from fairseq2.nn import BatchLayout
from torch import Tensor

from fairseq2_jest.embedding.errors import EmbeddingError


class SequenceFormat:
    """The special tokens around a text in one language and mode of a tokenizer."""

    def __init__(self, encoder: TokenEncoder) -> None:
        self.prefix = _indices(encoder.prefix_indices)
        self.suffix = _indices(encoder.suffix_indices)

    def __call__(self, body: Tensor) -> Tensor:
        """Puts the special tokens around the tokens of a text."""
        return torch.cat([self.prefix, body, self.suffix])

    @property
    def num_special(self) -> int:
        """The number of tokens that this format adds to a text."""
        return len(self.prefix) + len(self.suffix)


def _indices(indices: Tensor | None) -> Tensor:
    return torch.empty(0, dtype=torch.int64) if indices is None else indices.cpu().long()


class SequenceFormats:
    """The formats of a tokenizer, made once each.

    :raises fairseq2.error.NotSupportedError: The tokenizer lacks a language that is asked for.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._formats: dict[tuple[str, str], SequenceFormat] = {}

    def get(self, lang: str, mode: str) -> SequenceFormat:
        key = (lang, mode)

        if key not in self._formats:
            encoder = self._tokenizer.create_encoder(task="translation", lang=lang, mode=mode)

            self._formats[key] = SequenceFormat(encoder)

        return self._formats[key]

    def sequences(self, bodies: Sequence[Tensor], langs: Sequence[str], mode: str) -> list[Tensor]:
        """Puts the special tokens of each text's language around its tokens."""
        return [self.get(lang, mode)(body) for body, lang in zip(bodies, langs, strict=True)]

    def lengths(self, bodies: Sequence[Tensor], langs: Sequence[str], mode: str) -> list[int]:
        """How long these sequences are, without making them."""
        return [
            len(body) + self.get(lang, mode).num_special
            for body, lang in zip(bodies, langs, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class TokenizedPairs:
    """The bare tokens of N pairs, without special tokens, with each pair's languages."""

    source: Sequence[Tensor]
    """N one-dimensional int64 tensors."""

    target: Sequence[Tensor]
    """N one-dimensional int64 tensors."""

    source_langs: Sequence[str]
    """The source language of each pair."""

    target_langs: Sequence[str]
    """The target language of each pair."""

    def __len__(self) -> int:
        return len(self.source)

    def cut(self, max_num_tokens: int) -> TokenizedPairs:
        """The same pairs, of each side its first tokens only."""
        return TokenizedPairs(
            source=[side[:max_num_tokens] for side in self.source],
            target=[side[:max_num_tokens] for side in self.target],
            source_langs=self.source_langs,
            target_langs=self.target_langs,
        )

    def take(self, indices: Sequence[int]) -> TokenizedPairs:
        """The pairs at ``indices``, in that order."""
        return TokenizedPairs(
            source=[self.source[i] for i in indices],
            target=[self.target[i] for i in indices],
            source_langs=[self.source_langs[i] for i in indices],
            target_langs=[self.target_langs[i] for i in indices],
        )


def batches_by_length(lengths: Sequence[int], max_num_tokens: int) -> Iterator[list[int]]:
    """Groups sequences of like length, longest first, so that padded batches stay within a budget.

    :param lengths: The length of each sequence in tokens.
    :param max_num_tokens: The most that a batch may hold, padding included; a sequence longer than
        that is a batch of its own.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))

    batch: list[int] = []

    for index in order:
        if batch and (len(batch) + 1) * lengths[batch[0]] > max_num_tokens:
            yield batch

            batch = []

        batch.append(index)

    if batch:
        yield batch


def padding_of(tokenizer: Tokenizer) -> int:
    """
    :raises EmbeddingError: The tokenizer has no padding token.
    """
    pad_idx = tokenizer.vocab_info.pad_idx

    if pad_idx is None:
        raise EmbeddingError("The tokenizer has no padding token, which batches need.")

    return pad_idx


def pad(sequences: Sequence[Tensor], pad_idx: int) -> tuple[Tensor, list[int]]:
    """Pads to the longest sequence. *Shape of the result:* ``(N, S)``, and the N lengths."""
    seqs = torch.nn.utils.rnn.pad_sequence(list(sequences), batch_first=True, padding_value=pad_idx)

    return seqs, [len(sequence) for sequence in sequences]


def layout_of(seqs: Tensor, lengths: Sequence[int]) -> BatchLayout:
    """The layout of a padded batch. *Shape of seqs:* ``(N, S)``."""
    return BatchLayout.of(seqs, list(lengths))
