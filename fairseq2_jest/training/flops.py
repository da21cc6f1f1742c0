"""Floating-point operations of training and of selecting, from parameter counts."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.models.transformer import TransformerModel
from torch.nn import Module


@dataclass(frozen=True, kw_only=True)
class FlopsModel:
    """Counts a multiply-add as two operations; a backward pass costs two forward passes, one for
    the gradients of what went in and one for those of the weights, which frozen ones do not need.

    Every weight that multiplies a token counts, the vocabulary projection included. Attention
    scores, whose cost grows with the square of the length, are left out: for sentences they are a
    few per cent.
    """

    encoder: int
    """Weights that multiply each source token."""

    decoder: int
    """Weights that multiply each target token, vocabulary projection included."""

    frozen_encoder: int = 0
    """Those of the encoder's that are not trained."""

    frozen_decoder: int = 0
    """Those of the decoder's that are not trained."""

    @staticmethod
    def of(model: TransformerModel) -> FlopsModel:
        """Counts the weights of a bare encoder-decoder model."""
        final_proj = model.final_proj

        projection = final_proj.input_dim * final_proj.output_dim

        is_frozen = not any(parameter.requires_grad for parameter in final_proj.parameters())

        return FlopsModel(
            encoder=_num_weights(model.encoder),
            decoder=_num_weights(model.decoder) + projection,
            frozen_encoder=_num_frozen(model.encoder),
            frozen_decoder=_num_frozen(model.decoder) + is_frozen * projection,
        )

    def training(self, source_tokens: int, target_tokens: int) -> float:
        """Forward and backward passes over a batch."""
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


def _num_weights(module: Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _num_frozen(module: Module) -> int:
    return sum(p.numel() for p in module.parameters() if not p.requires_grad)
