"""Token sequences of pairs, and their grouping into batches of like length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

import numpy as np
import torch
from fairseq2.data.tokenizers import TokenEncoder, Tokenizer
from fairseq2.error import NotSupportedError
from fairseq2.nn import BatchLayout
from numpy.typing import NDArray
from torch import Tensor

from fairseq2_jest.embedding.errors import EmbeddingError

_SYNTHETIC_MODE: Final = "source_mmt_bt"
"""NLLB's mode for sources that were made by a neural model."""

SYNTHETIC_TAG: Final = "<BT>"
"""What stands before such a source where the tokenizer has no token for it."""


class SequenceFormat:
    """The special tokens around a text."""

    def __init__(self, prefix: Tensor | None = None, suffix: Tensor | None = None) -> None:
        self.prefix = _indices(prefix)
        self.suffix = _indices(suffix)

        self.num_special = len(self.prefix) + len(self.suffix)
        """The number of tokens that this format adds to a text."""

    @staticmethod
    def of(encoder: TokenEncoder) -> SequenceFormat:
        """Those that a tokenizer adds in one language and mode."""
        return SequenceFormat(encoder.prefix_indices, encoder.suffix_indices)

    def __call__(self, body: Tensor) -> Tensor:
        """Puts the special tokens around the tokens of a text."""
        return torch.cat([self.prefix, body, self.suffix])


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
            self._formats[key] = self._create(lang, mode)

        return self._formats[key]

    def _create(self, lang: str, mode: str) -> SequenceFormat:
        encoder = self._tokenizer.create_encoder(task="translation", lang=lang, mode=mode)

        return SequenceFormat.of(encoder)

    def get_source(self, lang: str, *, synthetic: bool) -> SequenceFormat:
        """The format of sources; those made by a model are tagged (Caswell et al. 2019, "Tagged
        Back-Translation"), by NLLB's own token where the tokenizer has it, else by a text."""
        if not synthetic:
            return self.get(lang, "source")

        key = (lang, _SYNTHETIC_MODE)

        if key not in self._formats:
            plain = self.get(lang, "source")

            try:
                self._formats[key] = self._create(lang, _SYNTHETIC_MODE)
            except (NotSupportedError, ValueError):
                tag = self._tokenizer.create_raw_encoder()(SYNTHETIC_TAG).cpu().long()

                self._formats[key] = SequenceFormat(torch.cat([plain.prefix, tag]), plain.suffix)

        return self._formats[key]

    def sources(self, pairs: TokenizedPairs) -> list[Tensor]:
        """What an encoder is given of each pair."""
        return [
            format_(body)
            for format_, body in zip(self._source_formats(pairs), pairs.source, strict=True)
        ]

    def source_lengths(self, pairs: TokenizedPairs) -> list[int]:
        """How long these sequences are, without making them."""
        return [
            len(body) + format_.num_special
            for format_, body in zip(self._source_formats(pairs), pairs.source, strict=True)
        ]

    def _source_formats(self, pairs: TokenizedPairs) -> list[SequenceFormat]:
        synthetic = [False] * len(pairs) if pairs.synthetic is None else pairs.synthetic

        return [
            self.get_source(lang, synthetic=is_synthetic)
            for lang, is_synthetic in zip(pairs.source_langs, synthetic, strict=True)
        ]

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

    prompt: Sequence[Tensor] | None = None
    """What a decoder-only model is asked, the source in it; N one-dimensional int64 tensors."""

    synthetic: Sequence[bool] | None = None
    """Whether each source was made by a model, and is tagged as such; ``None`` for none."""

    def __len__(self) -> int:
        return len(self.source)

    def cut(self, max_num_tokens: int) -> TokenizedPairs:
        """The same pairs, of each side its first tokens only; cut, a prompt would ask nothing."""
        return replace(
            self,
            source=[side[:max_num_tokens] for side in self.source],
            target=[side[:max_num_tokens] for side in self.target],
        )

    def take(self, indices: Sequence[int]) -> TokenizedPairs:
        """The pairs at ``indices``, in that order."""
        return TokenizedPairs(
            source=[self.source[i] for i in indices],
            target=[self.target[i] for i in indices],
            source_langs=[self.source_langs[i] for i in indices],
            target_langs=[self.target_langs[i] for i in indices],
            prompt=None if self.prompt is None else [self.prompt[i] for i in indices],
            synthetic=None if self.synthetic is None else [self.synthetic[i] for i in indices],
        )


PairReader: TypeAlias = Callable[[NDArray[np.int64]], tuple[NDArray[np.int64], TokenizedPairs]]
"""Turns rows of a corpus into those that fit a model, and their tokens."""


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


def places_of(seqs: Tensor, ends: Sequence[int], begins: Sequence[int] | None = None) -> Tensor:
    """Which places of a padded batch are before each sequence's end, and not before its begin.

    :param seqs: *Shape:* ``(N, S)``.

    :returns: *Shape:* ``(N, S)``, bool, where ``seqs`` is.
    """
    places = torch.arange(seqs.size(1))

    inside = places < torch.tensor(ends)[:, None]

    if begins is not None:
        inside &= places >= torch.tensor(begins)[:, None]

    return inside.to(seqs.device)


def layout_of(seqs: Tensor, lengths: Sequence[int]) -> BatchLayout:
    """The layout of a padded batch. *Shape of seqs:* ``(N, S)``."""
    return BatchLayout.of(seqs, list(lengths))
