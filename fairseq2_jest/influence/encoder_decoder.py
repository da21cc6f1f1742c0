"""Encoder-decoder models of fairseq2: NLLB, mBART."""

from __future__ import annotations

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.models.transformer import TransformerModel
from torch import Tensor
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.embedding.tokens import (
    SequenceFormats,
    TokenizedPairs,
    batches_by_length,
    layout_of,
    pad,
    padding_of,
)
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.model import PairModel, Positions, Prediction


class EncoderDecoder(PairModel):
    """The source goes through the encoder, the target through the decoder, as it stands."""

    def __init__(
        self, model: Module, tokenizer: Tokenizer, *, device: Device, max_num_tokens: int
    ) -> None:
        """
        :param max_num_tokens: The most tokens of a side in a batch, padding included.

        :raises InfluenceError: It is no encoder-decoder model.
        :raises EmbeddingError: The tokenizer has no padding token.
        """
        if not isinstance(model, TransformerModel):
            raise InfluenceError(
                f"Influence is computed for encoder-decoder models only so far, but the model is a "
                f"{type(model).__name__}; name an NLLB or mBART model."
            )

        self._model = model
        self._pad_idx = padding_of(tokenizer)
        self._formats = SequenceFormats(tokenizer)
        self._device = device
        self._max_num_tokens = max_num_tokens

    @property
    @override
    def module(self) -> Module:
        return self._model

    @property
    @override
    def head(self) -> Module:
        return self._model.final_proj

    @override
    def batches(self, pairs: TokenizedPairs) -> list[list[int]]:
        sources = self._formats.source_lengths(pairs)
        targets = self._formats.lengths(pairs.target, pairs.target_langs, "target")

        lengths = [max(both) for both in zip(sources, targets, strict=True)]

        return list(batches_by_length(lengths, self._max_num_tokens))

    @override
    def predict(self, pairs: TokenizedPairs) -> Prediction:
        model = self._model

        sources, source_lens = self._padded(self._formats.sources(pairs))
        targets, target_lens = self._padded(
            self._formats.sequences(pairs.target, pairs.target_langs, "target")
        )

        # Position t of the decoder predicts token t + 1; the language's token is given.
        input_lens = [length - 1 for length in target_lens]

        prompts = [len(self._formats.get(lang, "target").prefix) for lang in pairs.target_langs]

        places = torch.arange(targets.size(1) - 1)
        present = places < torch.tensor(input_lens)[:, None]
        scored = present & (places >= (torch.tensor(prompts) - 1).clamp(min=0)[:, None])
        scored = scored.to(self._device)

        source_present = torch.arange(sources.size(1)) < torch.tensor(source_lens)[:, None]
        source_present = source_present.to(self._device)

        seqs, source_layout = model.encoder_frontend(sources, layout_of(sources, source_lens))

        encoded = model.encoder(seqs, source_layout)

        inputs = targets[:, :-1]

        seqs, target_layout = model.decoder_frontend(inputs, layout_of(inputs, input_lens))

        output = model.decoder(seqs, target_layout, encoded, source_layout)

        return Prediction(
            hidden=output[scored],
            labels=targets[:, 1:][scored],
            pairs=scored.nonzero()[:, 0],
            positions={
                "encoder": Positions(present=source_present, counted=source_present),
                "decoder": Positions(present=present.to(self._device), counted=scored),
            },
        )

    def _padded(self, sequences: list[Tensor]) -> tuple[Tensor, list[int]]:
        seqs, lengths = pad(sequences, self._pad_idx)

        return seqs.to(self._device), lengths
