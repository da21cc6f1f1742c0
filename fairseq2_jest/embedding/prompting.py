"""Pairs for a decoder-only model: a prompt, then its response, in one sequence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.error import NotSupportedError
from fairseq2.models.hg import HgTokenizer
from numpy import int64
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.prompt import Prompt
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.pair_format import PairFormat
from fairseq2_jest.embedding.tokens import SYNTHETIC_TAG, SequenceFormat, TokenizedPairs


class PromptFormat(PairFormat):
    """Puts the special tokens of a language model's tokenizer around prompts and responses."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """
        :raises EmbeddingError: The tokenizer is not one of a language model.
        """
        self.prompt, self.response = prompt_formats(tokenizer)

        self._pad_idx = prompt_padding(tokenizer)

    @property
    @override
    def pad_idx(self) -> int:
        return self._pad_idx

    @override
    def sequences(self, pairs: TokenizedPairs) -> tuple[list[Tensor], list[Tensor]]:
        return (
            [self.prompt(body) for body in _prompts(pairs)],
            [self.response(body) for body in pairs.target],
        )

    @override
    def lengths(self, pairs: TokenizedPairs) -> tuple[list[int], list[int]]:
        return (
            [len(body) + self.prompt.num_special for body in _prompts(pairs)],
            [len(body) + self.response.num_special for body in pairs.target],
        )

    @override
    def pass_lengths(self, pairs: TokenizedPairs) -> list[int]:
        return [sum(sides) for sides in zip(*self.lengths(pairs), strict=True)]


class PromptTokenizer:
    """Turns rows of a corpus into the tokens of sources, prompts and responses.

    They are tokenized apart, so that no token has a part of two. A pair that is longer than
    ``max_seq_len`` is left out: cut off, it would have a part of its response, or none.
    """

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        prompt: Prompt,
        *,
        max_seq_len: int,
        tag_synthetic: bool = True,
    ) -> None:
        """
        :param max_seq_len: The most tokens in prompt and response together, special ones included.
        :param tag_synthetic: Whether a prompt says of a source that it was made by a model.

        :raises CorpusError: A language of the corpus has no name.
        :raises EmbeddingError: The tokenizer is not one of a language model.
        """
        for direction in corpus.directions:
            prompt.check(direction)

        self._corpus = corpus
        self._encode = tokenizer.create_raw_encoder()
        self._format = PromptFormat(tokenizer)
        self._prompt = prompt
        self._max_seq_len = max_seq_len
        self._tag_synthetic = tag_synthetic and corpus.has_synthetic

    def __call__(self, rows: NDArray[int64]) -> tuple[NDArray[int64], TokenizedPairs]:
        """Returns the rows that fit and their tokens, without special tokens."""
        sources, targets = self._corpus.texts(rows)

        directions = [self._corpus.directions[i] for i in self._corpus.direction_index(rows)]

        prompts = [
            self._prompt.render(f"{SYNTHETIC_TAG} {source}" if is_tagged else source, direction)
            for source, direction, is_tagged in zip(
                sources, directions, self._tagged(rows), strict=True
            )
        ]

        pairs = TokenizedPairs(
            source=[self._encode(text).long() for text in sources],
            target=[self._encode(text).long() for text in targets],
            source_langs=[direction.source for direction in directions],
            target_langs=[direction.target for direction in directions],
            prompt=[self._encode(text).long() for text in prompts],
        )

        fitting = [
            i
            for i, length in enumerate(self._format.pass_lengths(pairs))
            if length <= self._max_seq_len
        ]

        return rows[fitting], pairs.take(fitting)

    def _tagged(self, rows: NDArray[int64]) -> Sequence[bool]:
        if not self._tag_synthetic:
            return [False] * len(rows)

        return [bool(is_synthetic) for is_synthetic in self._corpus.synthetic(rows)]


def _prompts(pairs: TokenizedPairs) -> Sequence[Tensor]:
    # Without a template, a source is its own prompt.
    return pairs.source if pairs.prompt is None else pairs.prompt


def prompt_padding(tokenizer: Tokenizer) -> int:
    """What fills a batch up; no token sees those behind it, so that any will do."""
    return tokenizer.vocab_info.pad_idx or 0


def prompt_formats(tokenizer: Tokenizer) -> tuple[SequenceFormat, SequenceFormat]:
    """What a tokenizer puts around a prompt, and around a response.

    :raises EmbeddingError: It is not one of a language model.
    """
    if isinstance(tokenizer, HgTokenizer):
        return _hugging_face_formats(tokenizer)

    try:
        prompt, response = (
            SequenceFormat.of(tokenizer.create_encoder(mode=mode))
            for mode in ("prompt", "prompt_response")
        )
    except (NotSupportedError, ValueError) as ex:
        raise EmbeddingError(
            f"The tokenizer is not one of a language model: it makes no prompts ({ex}); name the "
            "tokenizer that belongs to the model."
        ) from ex

    # What a response begins with is not for the model to find.
    return (
        SequenceFormat(prompt.prefix, torch.cat([prompt.suffix, response.prefix])),
        SequenceFormat(suffix=response.suffix),
    )


def _hugging_face_formats(tokenizer: HgTokenizer) -> tuple[SequenceFormat, SequenceFormat]:
    """fairseq2's encoders of such a tokenizer add no special tokens in any mode."""
    end = tokenizer.vocab_info.eos_idx

    if end is None:
        raise EmbeddingError(
            "The tokenizer has no token for the end of a text, which ends a response; name one in "
            "tokenizer.config_overrides.eos_token."
        )

    begin = [index for index in tokenizer.raw.encode("") if index != end]

    # Where it begins and ends a text with the same token, it puts it there by itself or not at all.
    return SequenceFormat(prefix=torch.tensor(begin)), SequenceFormat(suffix=torch.tensor([end]))
