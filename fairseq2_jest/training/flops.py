"""Floating-point operations of training and of selecting, from parameter counts."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.models.clm import CausalLM
from fairseq2.models.transformer import TransformerModel
from torch.nn import Module

from fairseq2_jest.models.causal_lm import CausalParts


@dataclass(frozen=True, kw_only=True)
class FlopsModel:
    """Counts a multiply-add as two operations; a backward pass costs two forward passes.

    Every weight that multiplies a token counts, the vocabulary projection included. Attention
    scores, whose cost grows with the square of the length, are left out: for sentences they are a
    few per cent.
    """

    encoder: int
    """Weights that multiply each source token; in a decoder-only model each token of a prompt."""

    decoder: int
    """Weights that multiply each target token, vocabulary projection included."""

    projects_source: bool = False
    """Whether training projects source tokens to the vocabulary, too: it does with a prompt."""

    @staticmethod
    def of(model: Module) -> FlopsModel:
        """Counts the weights of a bare model.

        :raises ModelError: It is a decoder-only model whose parts are not known.
        """
        if isinstance(model, TransformerModel):
            projection = model.final_proj.input_dim * model.final_proj.output_dim

            return FlopsModel(
                encoder=_num_weights(model.encoder),
                decoder=_num_weights(model.decoder) + projection,
            )

        assert isinstance(model, CausalLM)

        parts = CausalParts(model)

        return FlopsModel(
            encoder=parts.num_weights,
            decoder=parts.num_weights + parts.dim * parts.vocab_size,
            projects_source=True,
        )

    @property
    def trained_source(self) -> int:
        """Weights that multiply each source token in training."""
        return self.decoder if self.projects_source else self.encoder

    def training(self, source_tokens: int, target_tokens: int) -> float:
        """Forward and backward passes over a batch."""
        return 6.0 * (self.trained_source * source_tokens + self.decoder * target_tokens)

    def forward(self, source_tokens: float, target_tokens: int) -> float:
        """The learner's view: forward passes alone."""
        return 2.0 * (self.encoder * source_tokens + self.decoder * target_tokens)


def predict_selection_cost(flops: FlopsModel, passes: tuple[float, float]) -> float:
    """The FLOPs of the learner's view for each FLOP of training.

    :param passes: See :attr:`SuperBatchEmbedder.passes`.
    """
    encoded, decoded = passes

    return (encoded * flops.encoder + decoded * flops.decoder) / (
        3.0 * (flops.trained_source + flops.decoder)
    )


def _num_weights(module: Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
