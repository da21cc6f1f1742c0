"""How badly a translation model translates a pair: the learner's view of it, or a reference's."""

from __future__ import annotations

import math

import torch
from fairseq2.data.tokenizers import Tokenizer
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import cross_entropy

from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.teacher_forcing import NUM_LOGIT_ROWS, create_teacher_forcing
from fairseq2_jest.embedding.tokens import TokenizedPairs


class TranslationLoss:
    """The token loss of pairs under a model, with the source as it stands.

    The loss is the mean negative log-likelihood of a pair's target tokens, its end included, in
    units of ``ln V``: 0 is a certain model, 1 one that knows nothing. (JEST, arXiv 2406.17711,
    scores by loss; arXiv 2511.04406 puts similarities in its place.) How the model is run, see
    :class:`ForwardPass`.
    """

    def __init__(self, forward_pass: ForwardPass, tokenizer: Tokenizer) -> None:
        """
        :raises EmbeddingError: The model does not translate, or the tokenizer does not suit it.
        """
        model, device = forward_pass.model, forward_pass.device

        self._forcing = create_teacher_forcing(model, tokenizer, device=device)
        self._unit = math.log(self._forcing.vocab_size)
        self._pass = forward_pass

    @property
    def model(self) -> Module:
        """The bare model."""
        return self._pass.model

    def num_tokens(self, pairs: TokenizedPairs) -> tuple[int, int]:
        """See :meth:`PairFormat.num_tokens`."""
        return self._forcing.format.num_tokens(pairs)

    def score(self, pairs: TokenizedPairs) -> Tensor:
        """The loss of each pair. *Shape of the result:* ``(N)``, fp32, on the device."""

        def losses_of(batch: list[int]) -> Tensor:
            forced = self._forcing.run(pairs.take(batch))

            scored = forced.scored

            losses = torch.zeros(scored.shape, device=scored.device)
            losses[scored] = self._token_losses(forced.output[scored], forced.labels[scored])

            return losses.sum(dim=1) / scored.sum(dim=1)

        losses = torch.empty(len(pairs), device=self._pass.device)

        self._pass.run(self._forcing.format.pass_lengths(pairs), losses_of, losses)

        return losses / self._unit

    def sequences(self, pairs: TokenizedPairs) -> tuple[list[Tensor], list[Tensor]]:
        """What the model is given of each pair's sides, special tokens included."""
        return self._forcing.format.sequences(pairs)

    def _token_losses(self, output: Tensor, targets: Tensor) -> Tensor:
        return torch.cat(
            [
                cross_entropy(self._forcing.head(rows).float(), wanted, reduction="none")
                for rows, wanted in zip(
                    torch.split(output, NUM_LOGIT_ROWS),
                    torch.split(targets, NUM_LOGIT_ROWS),
                    strict=True,
                )
            ]
        )
