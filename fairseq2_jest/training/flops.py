"""Floating-point operations of training and of selecting, from parameter counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from fairseq2.models.clm import CausalLM
from fairseq2.models.transformer import TransformerModel
from torch.nn import Module, Parameter

from fairseq2_jest.models.causal_lm import CausalParts
from fairseq2_jest.models.nf4 import num_weights


@dataclass(frozen=True, kw_only=True)
class FlopsModel:
    """Counts a multiply-add as two operations; a backward pass costs two forward passes, one for
    the gradients of what went in and one for those of the weights, which frozen ones do not need.

    Every weight that multiplies a token counts, the vocabulary projection included. Attention
    scores, whose cost grows with the square of the length, are left out: for sentences they are a
    few per cent.
    """

    encoder: int
    """Weights that multiply each source token; in a decoder-only model each token of a prompt."""

    decoder: int
    """Weights that multiply each target token, vocabulary projection included."""

    frozen_encoder: int = 0
    """Those of the encoder's that are not trained."""

    frozen_decoder: int = 0
    """Those of the decoder's that are not trained."""

    projects_source: bool = False
    """Whether training projects source tokens to the vocabulary, too: it does with a prompt."""

    @staticmethod
    def of(model: Module) -> FlopsModel:
        """Counts the weights of a bare model.

        :raises ModelError: It is a decoder-only model whose parts are not known.
        """
        head: Module

        if isinstance(model, TransformerModel):
            head, size = model.final_proj, (model.final_proj.input_dim, model.final_proj.output_dim)

            encoder, decoder = (
                list(stack.parameters()) for stack in (model.encoder, model.decoder)
            )
        else:
            assert isinstance(model, CausalLM)

            parts = CausalParts(model)

            head, size = parts.head, (parts.dim, parts.vocab_size)

            encoder = decoder = parts.layer_parameters()

        # Tied to an embedding, it has no weights of its own.
        projection = prod(size)

        is_frozen = not any(parameter.requires_grad for parameter in head.parameters())

        return FlopsModel(
            encoder=num_weights(model, encoder),
            decoder=num_weights(model, decoder) + projection,
            frozen_encoder=num_weights(model, _frozen(encoder)),
            frozen_decoder=num_weights(model, _frozen(decoder)) + is_frozen * projection,
            projects_source=encoder is decoder,
        )

    def training(self, source_tokens: int, target_tokens: int) -> float:
        """Forward and backward passes over a batch."""
        if self.projects_source:
            source_tokens, target_tokens = 0, source_tokens + target_tokens

        frozen = 2.0 * (self.frozen_encoder * source_tokens + self.frozen_decoder * target_tokens)

        return 3.0 * self.forward(source_tokens, target_tokens) - frozen

    def forward(self, source_tokens: float, target_tokens: float) -> float:
        """The learner's view: forward passes alone."""
        return 2.0 * (self.encoder * source_tokens + self.decoder * target_tokens)


def predict_selection_cost(flops: FlopsModel, passes: tuple[float, float]) -> float:
    """The FLOPs of the learner's view for each FLOP of training.

    :param passes: See :attr:`SuperBatchEmbedder.passes`.
    """
    return flops.forward(*passes) / flops.training(1, 1)


def _frozen(parameters: Sequence[Parameter]) -> list[Parameter]:
    return [parameter for parameter in parameters if not parameter.requires_grad]
