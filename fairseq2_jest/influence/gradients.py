"""Gradients of pairs in factors: for each position what went in, and the gradient of what came out.

A pair's gradient of a layer is ``G = sum over positions s of d_s a_s^T``; it is formed only where
it is wanted whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from fairseq2.device import Device
from torch import Tensor
from torch.nn.functional import pad

from fairseq2_jest.embedding.forward_pass import autocast
from fairseq2_jest.embedding.teacher_forcing import NUM_LOGIT_ROWS
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.capture import Capture, frozen
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.labels import sample_labels, uniforms
from fairseq2_jest.influence.layers import TrackedLayer
from fairseq2_jest.influence.model import PairModel, Positions, Prediction

Reduction: TypeAlias = Literal["mean", "sum"]
"""A pair's loss is the mean over the tokens of its response, or their sum, which is larger, and so
is its gradient, the longer the pair is."""


@dataclass(frozen=True, kw_only=True)
class LayerTokens:
    """One layer's share of the gradients of N pairs, at S positions each, padding among them."""

    inputs: Tensor
    """``a``, without the 1 that a bias is multiplied by. *Shape:* ``(N, S, in)``, fp32."""

    gradients: Tensor
    """``d``, of the loss of the position's pair; 0 at padding. *Shape:* ``(N, S, out)``, fp32."""

    has_bias: bool
    """Whether that 1 belongs at the end of each of ``inputs``."""

    positions: Positions
    """Which positions are of a pair, and which of these are no part of its prompt."""

    def project(self, left: Tensor, right: Tensor) -> Tensor:
        """``left^T G right`` of each pair's gradient ``G``, which is not formed.

        :param left: *Shape:* ``(out, k)``.
        :param right: *Shape:* ``(in, l)``.

        :returns: *Shape:* ``(N, k, l)``.
        """
        gradients, inputs = self._turned(left, right)

        return gradients.mT @ inputs

    def rotate(self, left: Tensor, right: Tensor) -> LayerTokens:
        """The same of ``left^T G right``, position by position; see :meth:`project`."""
        gradients, inputs = self._turned(left, right)

        return replace(self, inputs=inputs, gradients=gradients, has_bias=False)

    def _turned(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        inputs = self.inputs @ right[:-1] + right[-1] if self.has_bias else self.inputs @ right

        return self.gradients @ left, inputs

    def each_gradient(self) -> Iterator[Tensor]:
        """The gradient of each of the N pairs in turn. *Shape of each:* ``(out, in)``."""
        for gradients, inputs in zip(self.gradients, self.inputs, strict=True):
            yield gradients.T @ (_with_ones(inputs) if self.has_bias else inputs)

    def counted(self) -> tuple[Tensor, Tensor]:
        """``a`` and ``d`` at all positions that count. *Shape:* ``(P, in)`` and ``(P, out)``."""
        where = self.positions.counted

        inputs = self.inputs[where]

        return _with_ones(inputs) if self.has_bias else inputs, self.gradients[where]


def _with_ones(inputs: Tensor) -> Tensor:
    return pad(inputs, (0, 1), value=1.0)


@dataclass(frozen=True, kw_only=True)
class BatchGradients:
    """The gradients of a batch of N pairs, by the name of each tracked layer."""

    places: list[int]
    """Where these pairs are among those that were asked for."""

    num_labels: Tensor
    """How many tokens of each pair are to be predicted. *Shape:* ``(N)``, int64."""

    layers: Mapping[str, LayerTokens]


class GradientPass:
    """Computes gradients of pairs at a frozen model, in batches of like length."""

    def __init__(
        self,
        model: PairModel,
        layers: Sequence[TrackedLayer],
        *,
        device: Device,
        autocast_dtype: torch.dtype | None = None,
    ) -> None:
        """
        :param autocast_dtype: The dtype of mixed precision, ``None`` for none.
        """
        self._model = model
        self._layers = layers
        self._device = device
        self._autocast_dtype = autocast_dtype

    @property
    def layers(self) -> Sequence[TrackedLayer]:
        return self._layers

    def run(
        self,
        pairs: TokenizedPairs,
        rows: Sequence[int],
        *,
        reduction: Reduction,
        label_seed: int | None = None,
    ) -> Iterator[BatchGradients]:
        """
        :param rows: A number for each pair, that is its own.
        :param label_seed: Decides the labels that are drawn from the model's predictions; ``None``
            for the labels as they are.

        :raises InfluenceError: A gradient is not finite.
        """
        # Once for all batches: it goes through all modules of the model.
        with frozen(self._model.module):
            for places in self._model.batches(pairs):
                counts, layers = self._gradients(
                    pairs.take(places), [rows[i] for i in places], reduction, label_seed
                )

                yield BatchGradients(places=places, num_labels=counts, layers=layers)

    def _gradients(
        self, pairs: TokenizedPairs, rows: list[int], reduction: Reduction, label_seed: int | None
    ) -> tuple[Tensor, dict[str, LayerTokens]]:
        with torch.set_grad_enabled(True), Capture(self._layers) as capture:
            with autocast(self._device, self._autocast_dtype):
                prediction = self._model.predict(pairs)

            counts = torch.bincount(prediction.pairs, minlength=len(pairs))

            weights = torch.ones_like(prediction.labels, dtype=torch.float32)

            if reduction == "mean":
                weights /= counts[prediction.pairs]

            numbers = None

            if label_seed is not None:
                numbers = uniforms(label_seed, rows, counts.tolist()).to(self._device)

            outputs = capture.outputs

            # The whole graph of the vocabulary would not fit into memory.
            gradients = torch.autograd.grad(
                prediction.hidden,
                outputs,
                self._head_gradients(prediction, weights, numbers),
                allow_unused=True,
            )

        return counts, {
            layer.name: _layer_tokens(
                layer,
                values,
                # A layer may lie above all that is predicted from it.
                torch.zeros_like(output) if gradient is None else gradient,
                prediction.positions[layer.stack],
                rows,
            )
            for layer, values, output, gradient in zip(
                self._layers, capture.inputs, outputs, gradients, strict=True
            )
        }

    def _head_gradients(
        self, prediction: Prediction, weights: Tensor, numbers: Tensor | None
    ) -> Tensor:
        """The gradient of the weighted loss by :attr:`Prediction.hidden`."""
        gradients = torch.empty_like(prediction.hidden)

        for begin in range(0, len(gradients), NUM_LOGIT_ROWS):
            part = slice(begin, begin + NUM_LOGIT_ROWS)

            hidden = prediction.hidden[part].detach().requires_grad_()

            with autocast(self._device, self._autocast_dtype):
                logits = self._model.head(hidden).float()

            labels = prediction.labels[part]

            if numbers is not None:
                labels = sample_labels(logits.detach(), numbers[part])

            # The gradient of the cross-entropy, without a graph of it.
            residuals = torch.softmax(logits.detach(), dim=1)

            residuals[torch.arange(len(labels), device=labels.device), labels] -= 1.0
            residuals *= weights[part].unsqueeze(1)

            (gradients[part],) = torch.autograd.grad(logits, hidden, residuals)

        return gradients


def _layer_tokens(
    layer: TrackedLayer, inputs: Tensor, gradients: Tensor, positions: Positions, rows: list[int]
) -> LayerTokens:
    inputs, gradients = inputs.float(), gradients.float()

    # One number for each position is faster to look at, and no sum hides what is not finite.
    sound = torch.isfinite(inputs.sum(dim=2) + gradients.sum(dim=2))

    if not sound.all():
        raise InfluenceError(
            f"The gradient of {layer.name} is not finite for row "
            f"{rows[int((~sound).nonzero()[0, 0])]}; check the model's checkpoint, or compute in "
            "float32."
        )

    return LayerTokens(
        inputs=inputs, gradients=gradients, has_bias=layer.has_bias, positions=positions
    )
