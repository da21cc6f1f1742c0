"""Pairs for a decoder-only model: a prompt, then its response, in one sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.error import NotSupportedError
from fairseq2.models.hg import HgTokenizer
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.prompt import Prompt
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.pair_format import PairFormat
from fairseq2_jest.embedding.row_tokenizer import RowTokenizer
from fairseq2_jest.embedding.tokens import (
    SYNTHETIC_TAG,
    SequenceFormat,
    TokenizedPairs,
    pad,
    places_of,
)


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
    def num_tokens(self, pairs: TokenizedPairs) -> tuple[int, int]:
        prompts, responses = self.lengths(pairs)

        # The last token of a prompt is the first that is predicted from, that of a response none.
        return sum(prompts) - len(prompts), sum(responses)

    @override
    def pass_lengths(self, pairs: TokenizedPairs) -> list[int]:
        return [sum(sides) for sides in zip(*self.lengths(pairs), strict=True)]


@dataclass(frozen=True, kw_only=True)
class PromptedBatch:
    """A padded batch of N prompts, each with its response: position t predicts token t + 1."""

    inputs: Tensor
    """All tokens but the last. *Shape:* ``(N, T)``."""

    input_lens: Sequence[int]
    """How many of them each of the N sequences has."""

    labels: Tensor
    """The token that each position is to predict. *Shape:* ``(N, T)``."""

    scored: Tensor
    """Which positions predict a token of a response, its end included. *Shape:* ``(N, T)``, bool.
    """


def join_responses(
    prompts: Sequence[Tensor], responses: Sequence[Tensor], *, pad_idx: int, device: Device
) -> PromptedBatch:
    """Puts each of N responses behind its prompt.

    :param prompts: N one-dimensional tensors, special tokens included; as ``responses``.
    :param pad_idx: What fills the batch up; no position that is scored sees it.
    """
    seqs, lengths = pad(
        [torch.cat(sides) for sides in zip(prompts, responses, strict=True)], pad_idx
    )

    seqs = seqs.to(device)

    inputs, input_lens = seqs[:, :-1], [length - 1 for length in lengths]

    # The last token of a prompt predicts the first of its response.
    begins = [len(prompt) - 1 for prompt in prompts]

    return PromptedBatch(
        inputs=inputs,
        input_lens=input_lens,
        labels=seqs[:, 1:],
        scored=places_of(inputs, input_lens, begins),
    )


class PromptTokenizer(RowTokenizer):
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

        super().__init__(corpus, tokenizer, max_seq_len=max_seq_len, tag_synthetic=tag_synthetic)

        self._format = PromptFormat(tokenizer)
        self._prompt = prompt

    @override
    def _complete(
        self, pairs: TokenizedPairs, sources: Sequence[str], directions: Sequence[Direction]
    ) -> TokenizedPairs:
        tagged = [False] * len(pairs) if pairs.synthetic is None else pairs.synthetic

        prompts = [
            self._prompt.render(f"{SYNTHETIC_TAG} {source}" if is_tagged else source, direction)
            for source, direction, is_tagged in zip(sources, directions, tagged, strict=True)
        ]

        # What is asked says it already.
        return replace(pairs, prompt=self._encode(prompts), synthetic=None)

    @override
    def _lengths(self, pairs: TokenizedPairs) -> Sequence[int]:
        return self._format.pass_lengths(pairs)


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
