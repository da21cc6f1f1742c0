"""Pairs going through an encoder-decoder model, each target token predicted from the one before."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.models.transformer import TransformerModel
from torch import Tensor

from fairseq2_jest.embedding.tokens import (
    SequenceFormats,
    TokenizedPairs,
    layout_of,
    pad,
    padding_of,
    places_of,
)


@dataclass(frozen=True, kw_only=True)
class ForcedDecoding:
    """What the decoder makes of a padded batch of N pairs, before the projection to the vocabulary.

    Position t of the decoder is given token t of a target, and predicts token t + 1.
    """

    output: Tensor
    """*Shape:* ``(N, T, d)``."""

    labels: Tensor
    """The token that each position is to predict. *Shape:* ``(N, T)``."""

    scored: Tensor
    """Which positions predict a token of the text, or its end; the language's token is given.
    *Shape:* ``(N, T)``, bool."""

    present: Tensor
    """Which positions are not padding. *Shape:* ``(N, T)``, bool."""

    source_present: Tensor
    """Which positions of the encoder are not padding. *Shape:* ``(N, S)``, bool."""


class TeacherForcing:
    """Runs an encoder-decoder model over pairs, with the source as it stands."""

    def __init__(self, model: TransformerModel, tokenizer: Tokenizer, *, device: Device) -> None:
        """
        :raises EmbeddingError: The tokenizer has no padding token.
        """
        self._model = model
        self._pad_idx = padding_of(tokenizer)
        self._formats = SequenceFormats(tokenizer)
        self._device = device

    def lengths(self, pairs: TokenizedPairs) -> tuple[list[int], list[int]]:
        """The tokens of each pair's source and target, special ones included."""
        return (
            self._formats.source_lengths(pairs),
            self._formats.lengths(pairs.target, pairs.target_langs, "target"),
        )

    def sequences(self, pairs: TokenizedPairs) -> tuple[list[Tensor], list[Tensor]]:
        """What encoder and decoder are given of each pair, special tokens included."""
        return (
            self._formats.sources(pairs),
            self._formats.sequences(pairs.target, pairs.target_langs, "target"),
        )

    def run(self, pairs: TokenizedPairs) -> ForcedDecoding:
        """Runs one batch."""
        model = self._model

        sources, targets = self.sequences(pairs)

        source, source_lens = pad(sources, self._pad_idx)
        target, target_lens = pad(targets, self._pad_idx)

        source, target = source.to(self._device), target.to(self._device)

        input_lens = [length - 1 for length in target_lens]

        prompts = [len(self._formats.get(lang, "target").prefix) for lang in pairs.target_langs]

        seqs, source_layout = model.encoder_frontend(source, layout_of(source, source_lens))

        encoded = model.encoder(seqs, source_layout)

        inputs = target[:, :-1]

        seqs, input_layout = model.decoder_frontend(inputs, layout_of(inputs, input_lens))

        # The last token of a prompt predicts the first of the text.
        begins = [max(0, prompt - 1) for prompt in prompts]

        return ForcedDecoding(
            output=model.decoder(seqs, input_layout, encoded, source_layout),
            labels=target[:, 1:],
            scored=places_of(inputs, input_lens, begins),
            present=places_of(inputs, input_lens),
            source_present=places_of(source, source_lens),
        )
