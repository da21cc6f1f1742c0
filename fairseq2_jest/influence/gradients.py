"""Gradients of pairs in factors: for each position what went in, and the gradient of what came out.

A pair's gradient of a layer is ``G = sum over positions p of d_p a_p^T``; it is formed only where
it is wanted whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import torch
from fairseq2.device import Device
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

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
    """One layer's share of the gradients of N pairs, at their P positions without padding."""

    inputs: Tensor
    """``a``. *Shape:* ``(P, in)``, fp32, ending with 1 where the layer has a bias."""

    gradients: Tensor
    """``d``, of the loss of the position's pair. *Shape:* ``(P, out)``, fp32."""

    pairs: Tensor
    """Which of the N pairs a position belongs to, ascending. *Shape:* ``(P)``."""

    counted: Tensor
    """Whether a position is no part of the prompt. *Shape:* ``(P)``, bool."""

    def each_gradient(self, num_pairs: int) -> Iterator[Tensor]:
        """The gradient of each of the N pairs in turn. *Shape of each:* ``(out, in)``."""
        sizes = torch.bincount(self.pairs, minlength=num_pairs).tolist()

        parts = (torch.split(side, sizes) for side in (self.gradients, self.inputs))

        for gradients, inputs in zip(*parts, strict=True):
            yield gradients.T @ inputs

    def between(self, left: Tensor, right: Tensor) -> LayerTokens:
        """The same of ``left^T G right``.

        :param left: *Shape:* ``(out, k)``.
        :param right: *Shape:* ``(in, l)``.
        """
        return replace(self, inputs=self.inputs @ right, gradients=self.gradients @ left)


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

            loss = (cross_entropy(logits, labels, reduction="none") * weights[part]).sum()

            (gradients[part],) = torch.autograd.grad(loss, hidden)

        return gradients


def _layer_tokens(
    layer: TrackedLayer, inputs: Tensor, gradients: Tensor, positions: Positions, rows: list[int]
) -> LayerTokens:
    present = positions.present

    values, grads = inputs[present].float(), gradients[present].float()

    pairs = present.nonzero()[:, 0]

    # One number for each position is faster to look at, and no sum hides what is not finite.
    sound = torch.isfinite(values.sum(dim=1) + grads.sum(dim=1))

    if not sound.all():
        raise InfluenceError(
            f"The gradient of {layer.name} is not finite for row {rows[int(pairs[~sound][0])]}; "
            "check the model's checkpoint, or compute in float32."
        )

    if layer.has_bias:
        values = pad(values, (0, 1), value=1.0)

    return LayerTokens(
        inputs=values, gradients=grads, pairs=pairs, counted=positions.counted[present]
    )
