"""Pairs as one sequence for a decoder-only model: a prompt, then its response."""

from __future__ import annotations

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.error import NotSupportedError
from fairseq2.models.hg import HgTokenizer
from numpy import int64
from numpy.typing import NDArray
from torch import Tensor

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.prompt import Prompt
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.tokens import SequenceFormat, TokenizedPairs


class PromptFormat:
    """Puts the special tokens of a tokenizer around prompt and response, and one behind the other.

    Pairs have the bare tokens of a prompt as their source, those of a response as their target.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """
        :raises EmbeddingError: The tokenizer is not one of a language model.
        """
        self._prompt, self._response = _formats(tokenizer)

    def lengths(self, pairs: TokenizedPairs) -> list[int]:
        """The tokens of each sequence, without making them."""
        return [
            prompt_len + len(target) + len(self._response.suffix)
            for prompt_len, target in zip(self.prompt_lens(pairs), pairs.target, strict=True)
        ]

    def prompt_lens(self, pairs: TokenizedPairs) -> list[int]:
        """The tokens of each sequence that are given, not predicted."""
        num_special = self._prompt.num_special + len(self._response.prefix)

        return [num_special + len(source) for source in pairs.source]

    def sequences(self, pairs: TokenizedPairs) -> list[Tensor]:
        """Prompt and response of each pair, with all special tokens."""
        return [
            torch.cat([self._prompt(source), self._response(target)])
            for source, target in zip(pairs.source, pairs.target, strict=True)
        ]


class PromptTokenizer:
    """Turns rows of a corpus into the tokens of prompts and responses.

    They are tokenized apart, so that no token has a part of both. A pair that is longer than
    ``max_seq_len`` is left out: cut off, it would have a part of its response, or none.
    """

    def __init__(
        self, corpus: Corpus, tokenizer: Tokenizer, prompt: Prompt, *, max_seq_len: int
    ) -> None:
        """
        :param max_seq_len: The most tokens in prompt and response together, special ones included.

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

    def __call__(self, rows: NDArray[int64]) -> tuple[NDArray[int64], TokenizedPairs]:
        """Returns the rows that fit and their tokens, without special tokens."""
        sources, targets = self._corpus.texts(rows)

        directions = [self._corpus.directions[i] for i in self._corpus.direction_index(rows)]

        prompts = [
            self._prompt.render(source, direction)
            for source, direction in zip(sources, directions, strict=True)
        ]

        pairs = TokenizedPairs(
            source=[self._encode(text).long() for text in prompts],
            target=[self._encode(text).long() for text in targets],
            source_langs=[direction.source for direction in directions],
            target_langs=[direction.target for direction in directions],
        )

        fitting = [
            i for i, length in enumerate(self._format.lengths(pairs)) if length <= self._max_seq_len
        ]

        return rows[fitting], pairs.take(fitting)


def _formats(tokenizer: Tokenizer) -> tuple[SequenceFormat, SequenceFormat]:
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

    return prompt, response


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
