"""How badly a translation model translates a pair: the learner's view of it, or a reference's."""

from __future__ import annotations

import math

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.transformer import TransformerModel
from torch import Tensor
from torch.nn.functional import cross_entropy

from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.learner import encoder_decoder
from fairseq2_jest.embedding.tokens import (
    SequenceFormats,
    TokenizedPairs,
    layout_of,
    pad,
    padding_of,
)

_NUM_LOGIT_ROWS = 1024
"""Tokens projected to the vocabulary at once: all of a batch may be gigabytes."""


class TranslationLoss:
    """The token loss of pairs under a model, with the source as it stands.

    The loss is the mean negative log-likelihood of a pair's target tokens, its end included, in
    units of ``ln V``: 0 is a certain model, 1 one that knows nothing. (JEST, arXiv 2406.17711,
    scores by loss; arXiv 2511.04406 puts similarities in its place.) How the model is run, see
    :class:`ForwardPass`.
    """

    def __init__(self, forward_pass: ForwardPass, tokenizer: Tokenizer) -> None:
        """
        :raises EmbeddingError: The model has no encoder, or the tokenizer no padding token.
        """
        self._model = encoder_decoder(forward_pass.model)
        self._pad_idx = padding_of(tokenizer)
        self._formats = SequenceFormats(tokenizer)
        self._device = forward_pass.device
        self._unit = math.log(self._model.final_proj.output_dim)
        self._pass = forward_pass

    @property
    def model(self) -> TransformerModel:
        """The bare model."""
        return self._model

    def num_tokens(self, pairs: TokenizedPairs) -> tuple[int, int]:
        """The tokens that scoring takes through encoder and decoder, padding left out."""
        sources = self._formats.source_lengths(pairs)
        targets = self._formats.lengths(pairs.target, pairs.target_langs, "target")

        return sum(sources), sum(targets) - len(targets)

    def score(self, pairs: TokenizedPairs) -> Tensor:
        """The loss of each pair. *Shape of the result:* ``(N)``, fp32, on the device."""
        sources, targets = self.sequences(pairs)

        prompts = [len(self._formats.get(lang, "target").prefix) for lang in pairs.target_langs]

        def losses_of(batch: list[int]) -> Tensor:
            source_seqs, source_lens = pad([sources[i] for i in batch], self._pad_idx)
            target_seqs, target_lens = pad([targets[i] for i in batch], self._pad_idx)

            # Position t predicts token t + 1; the language's token is given, not predicted.
            places = torch.arange(1, target_seqs.size(1))
            begins = torch.tensor([prompts[i] for i in batch]).clamp(min=1)
            ends = torch.tensor(target_lens)

            scored = (places >= begins[:, None]) & (places < ends[:, None])
            scored = scored.to(self._device)

            source_seqs, target_seqs = source_seqs.to(self._device), target_seqs.to(self._device)

            output = self._decoder_output(
                source_seqs, source_lens, target_seqs[:, :-1], [n - 1 for n in target_lens]
            )

            losses = torch.zeros(scored.shape, device=self._device)
            losses[scored] = self._token_losses(output[scored], target_seqs[:, 1:][scored])

            return losses.sum(dim=1) / scored.sum(dim=1)

        losses = torch.empty(len(pairs), device=self._device)

        lengths = [max(len(s), len(t)) for s, t in zip(sources, targets, strict=True)]

        self._pass.run(lengths, losses_of, losses)

        return losses / self._unit

    def sequences(self, pairs: TokenizedPairs) -> tuple[list[Tensor], list[Tensor]]:
        """What encoder and decoder are given of each pair, special tokens included."""
        return (
            self._formats.sources(pairs),
            self._formats.sequences(pairs.target, pairs.target_langs, "target"),
        )

    def _decoder_output(
        self, source: Tensor, source_lens: list[int], target: Tensor, target_lens: list[int]
    ) -> Tensor:
        model = self._model

        source, source_layout = model.encoder_frontend(source, layout_of(source, source_lens))
        target, target_layout = model.decoder_frontend(target, layout_of(target, target_lens))

        return model.decoder(
            target, target_layout, model.encoder(source, source_layout), source_layout
        )

    def _token_losses(self, output: Tensor, targets: Tensor) -> Tensor:
        return torch.cat(
            [
                cross_entropy(self._model.final_proj(rows).float(), wanted, reduction="none")
                for rows, wanted in zip(
                    torch.split(output, _NUM_LOGIT_ROWS),
                    torch.split(targets, _NUM_LOGIT_ROWS),
                    strict=True,
                )
            ]
        )
