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
from fairseq2_jest.embedding.teacher_forcing import TeacherForcing
from fairseq2_jest.embedding.tokens import TokenizedPairs

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
        self._forcing = TeacherForcing(self._model, tokenizer, device=forward_pass.device)
        self._unit = math.log(self._model.final_proj.output_dim)
        self._pass = forward_pass

    @property
    def model(self) -> TransformerModel:
        """The bare model."""
        return self._model

    def num_tokens(self, pairs: TokenizedPairs) -> tuple[int, int]:
        """The tokens that scoring takes through encoder and decoder, padding left out."""
        sources, targets = self._forcing.lengths(pairs)

        return sum(sources), sum(targets) - len(targets)

    def score(self, pairs: TokenizedPairs) -> Tensor:
        """The loss of each pair. *Shape of the result:* ``(N)``, fp32, on the device."""

        def losses_of(batch: list[int]) -> Tensor:
            forced = self._forcing.run(pairs.take(batch))

            scored = forced.scored

            losses = torch.zeros(scored.shape, device=scored.device)
            losses[scored] = self._token_losses(forced.output[scored], forced.labels[scored])

            return losses.sum(dim=1) / scored.sum(dim=1)

        losses = torch.empty(len(pairs), device=self._pass.device)

        lengths = [max(both) for both in zip(*self._forcing.lengths(pairs), strict=True)]

        self._pass.run(lengths, losses_of, losses)

        return losses / self._unit

    def sequences(self, pairs: TokenizedPairs) -> tuple[list[Tensor], list[Tensor]]:
        """What encoder and decoder are given of each pair, special tokens included."""
        return self._forcing.sequences(pairs)

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
