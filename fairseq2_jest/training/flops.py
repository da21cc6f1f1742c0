"""Floating-point operations of training and of selecting, from parameter counts."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.models.transformer import TransformerModel
from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class FlopsModel:
    """Counts a multiply-add as two operations; a backward pass costs two forward passes.

    Every weight that multiplies a token counts, the vocabulary projection included. Attention
    scores, whose cost grows with the square of the length, are left out: for sentences they are a
    few per cent.
    """

    encoder: int
    """Weights that multiply each source token."""

    decoder: int
    """Weights that multiply each target token, vocabulary projection included."""

    @staticmethod
    def of(model: TransformerModel) -> FlopsModel:
        """Counts the weights of a bare encoder-decoder model."""
        projection = model.final_proj.input_dim * model.final_proj.output_dim

        return FlopsModel(
            encoder=_num_weights(model.encoder),
            decoder=_num_weights(model.decoder) + projection,
        )

    def training(self, source_tokens: int, target_tokens: int) -> float:
        """Forward and backward passes over a batch."""
        return 3.0 * self.forward(source_tokens, target_tokens)

    def forward(self, source_tokens: float, target_tokens: int) -> float:
        """The learner's view: forward passes alone."""
        return 2.0 * (self.encoder * source_tokens + self.decoder * target_tokens)


def predict_selection_cost(flops: FlopsModel, passes: tuple[float, float]) -> float:
    """The FLOPs of the learner's view for each FLOP of training.

    :param passes: See :attr:`SuperBatchEmbedder.passes`.
    """
    encoded, decoded = passes

    return (encoded * flops.encoder + decoded * flops.decoder) / (
        3.0 * (flops.encoder + flops.decoder)
    )


def _num_weights(module: Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
