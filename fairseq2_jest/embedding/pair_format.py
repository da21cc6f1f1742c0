"""What a model is given of a pair: its two sides, with the special tokens around them."""

from __future__ import annotations

from abc import ABC, abstractmethod

from fairseq2.data.tokenizers import Tokenizer
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.embedding.tokens import SequenceFormats, TokenizedPairs, padding_of


class PairFormat(ABC):
    """How the sides of pairs are put to a kind of model."""

    @property
    @abstractmethod
    def pad_idx(self) -> int:
        """What fills a batch up."""

    @abstractmethod
    def sequences(self, pairs: TokenizedPairs) -> tuple[list[Tensor], list[Tensor]]:
        """Of each pair what is given, and what is predicted from it."""

    @abstractmethod
    def lengths(self, pairs: TokenizedPairs) -> tuple[list[int], list[int]]:
        """How long these sequences are, without making them."""

    @abstractmethod
    def num_tokens(self, pairs: TokenizedPairs) -> tuple[int, int]:
        """The tokens that go through the model to be read, by an encoder or in a prompt, and those
        to be predicted from; padding left out."""

    @abstractmethod
    def pass_lengths(self, pairs: TokenizedPairs) -> list[int]:
        """How long the longest sequence is that goes through the model of each pair."""


class EncoderDecoderFormat(PairFormat):
    """The source for an encoder, the target for a decoder, each with its language's tokens."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """
        :raises EmbeddingError: The tokenizer has no padding token.
        """
        self._formats = SequenceFormats(tokenizer)
        self._pad_idx = padding_of(tokenizer)

    @property
    @override
    def pad_idx(self) -> int:
        return self._pad_idx

    @override
    def sequences(self, pairs: TokenizedPairs) -> tuple[list[Tensor], list[Tensor]]:
        return (
            self._formats.sources(pairs),
            self._formats.sequences(pairs.target, pairs.target_langs, "target"),
        )

    @override
    def lengths(self, pairs: TokenizedPairs) -> tuple[list[int], list[int]]:
        return (
            self._formats.source_lengths(pairs),
            self._formats.lengths(pairs.target, pairs.target_langs, "target"),
        )

    @override
    def num_tokens(self, pairs: TokenizedPairs) -> tuple[int, int]:
        sources, targets = self.lengths(pairs)

        return sum(sources), sum(targets) - len(targets)

    @override
    def pass_lengths(self, pairs: TokenizedPairs) -> list[int]:
        return [max(sides) for sides in zip(*self.lengths(pairs), strict=True)]

    def prefix_lens(self, pairs: TokenizedPairs) -> list[int]:
        """How many tokens of each target are given, not predicted: that of its language."""
        return [len(self._formats.get(lang, "target").prefix) for lang in pairs.target_langs]
