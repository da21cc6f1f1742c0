"""The damped inverse of a layer's curvature, in the basis of its Kronecker factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from fairseq2.device import Device
from torch import Tensor

from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.factors import FactorSums
from fairseq2_jest.influence.gradients import LayerTokens
from fairseq2_jest.influence.layer_tensors import LayerSums
from fairseq2_jest.influence.layers import TrackedLayer

_LEAST: Final = 1e-6
"""The least variance along an eigenvector, beside the mean."""


@dataclass(frozen=True, kw_only=True)
class LayerCurvature:
    """One layer's ``H = (Q_A kron Q_S) diag(eigenvalues) (Q_A kron Q_S)^T``.

    The eigenvectors of either side are in ascending order of their eigenvalues' mean.
    """

    input_vectors: Tensor
    """``Q_A``, the eigenvectors of ``A`` in its columns. *Shape:* ``(in, in)``, fp32."""

    gradient_vectors: Tensor
    """``Q_S``. *Shape:* ``(out, out)``, fp32."""

    eigenvalues: Tensor
    """*Shape:* ``(out, in)``, fp32, not negative."""

    def damping(self, config: DampingConfig) -> float:
        """What is added to the eigenvalues.

        :raises InfluenceError: All are zero, and damping is relative.
        """
        if config.kind == "absolute":
            return config.value

        damping = config.value * float(self.eigenvalues.double().mean())

        if not damping > 0.0:
            raise InfluenceError(
                "The curvature of a layer is zero everywhere, so that relative damping is, too; "
                "set curvature.damping.kind to absolute."
            )

        return damping

    def scales(self) -> tuple[Tensor, Tensor]:
        """How far gradients spread along the eigenvectors of ``S`` and of ``A``: the product of
        both squared is an eigenvalue, with EK-FAC nearly. *Shape:* ``(out)`` and ``(in)``, fp32.
        """
        mean = float(self.eigenvalues.mean())

        if not mean > 0.0:
            return torch.ones_like(self.eigenvalues[:, 0]), torch.ones_like(self.eigenvalues[0])

        gradients, inputs = self.eigenvalues.mean(dim=1), self.eigenvalues.mean(dim=0) / mean

        # What the sample of the curvature has nothing of, a pair of the pool may have.
        return gradients.clamp(min=_LEAST * mean).sqrt(), inputs.clamp(min=_LEAST).sqrt()

    def rotate(self, tokens: LayerTokens) -> LayerTokens:
        """The same in the basis of the eigenvectors, where ``H`` is diagonal."""
        return tokens.rotate(self.gradient_vectors, self.input_vectors)

    def damped(self, config: DampingConfig) -> Tensor:
        """The eigenvalues of ``H + damping``. *Shape:* ``(out, in)``, fp32.

        :raises InfluenceError: See :meth:`damping`.
        """
        return self.eigenvalues + self.damping(config)


class CorrectedSums(LayerSums):
    """EK-FAC's eigenvalues: mean squares of whole gradients of pairs in the factors' eigenbasis.

    (George et al., 2018: the best diagonal in that basis, where KFAC takes products.) They are, for
    each layer, ``<name>/squares`` ``(out, in)``, and ``count`` ``()``.
    """

    @staticmethod
    def zeros(layers: Sequence[TrackedLayer], device: Device, dtype: torch.dtype) -> CorrectedSums:
        """Sums of nothing."""
        tensors = {
            f"{layer.name}/squares": torch.zeros(
                layer.output_dim, layer.input_dim, device=device, dtype=dtype
            )
            for layer in layers
        }

        return CorrectedSums(tensors | {"count": torch.zeros((), dtype=torch.int64)})

    def add(
        self,
        tokens: Mapping[str, LayerTokens],
        num_pairs: int,
        curvatures: Mapping[str, LayerCurvature],
    ) -> None:
        """Adds the pairs of a batch, whose gradients are of ``reduction`` ``sum``."""
        self.tensors["count"] += num_pairs

        for name, layer in tokens.items():
            rotated = curvatures[name].rotate(layer)

            squares = self.tensors[f"{name}/squares"]

            for gradient in rotated.each_gradient():
                squares += gradient.square_()

    def mean_squares(self, layer: str) -> Tensor:
        """*Shape:* ``(out, in)``."""
        return self.tensors[f"{layer}/squares"] / max(int(self.tensors["count"]), 1)


def decompose(
    layers: Sequence[TrackedLayer], shards: Sequence[FactorSums], device: Device
) -> dict[str, LayerCurvature]:
    """KFAC's curvature of each layer, on the CPU.

    One layer is on ``device`` at a time: all of them in fp64 would take more than the model.

    :raises InfluenceError: No token of a layer was counted, or a factor is not finite.
    """
    return {
        layer.name: _decompose(layer.name, FactorSums.total([layer], shards, device))
        for layer in layers
    }


def _decompose(layer: str, factors: FactorSums) -> LayerCurvature:
    if factors.count(layer) == 0:
        raise InfluenceError(
            f"No token went through {layer} in all of the pairs that the curvature is estimated "
            "on; raise curvature.num_pairs, or dataset.max_seq_len."
        )

    parts = factors.means(layer)

    if not all(torch.isfinite(part).all() for part in parts):
        raise InfluenceError(f"The curvature of {layer} is not finite; compute in float32.")

    (input_values, input_vectors), (gradient_values, gradient_vectors) = (
        torch.linalg.eigh(part) for part in parts
    )

    # Rounding puts zeros a little below.
    eigenvalues = torch.outer(gradient_values.clamp(min=0.0), input_values.clamp(min=0.0))

    return LayerCurvature(
        input_vectors=input_vectors.float().cpu(),
        gradient_vectors=gradient_vectors.float().cpu(),
        eigenvalues=eigenvalues.float().cpu(),
    )


def correct(
    curvatures: Mapping[str, LayerCurvature],
    layers: Sequence[TrackedLayer],
    shards: Sequence[CorrectedSums],
    device: Device,
) -> dict[str, LayerCurvature]:
    """The same eigenvectors with EK-FAC's eigenvalues, in the order of these, on the CPU; likewise
    a layer at a time."""
    corrected = {}

    for layer in layers:
        total = CorrectedSums.zeros([layer], device, torch.float64)

        for shard in shards:
            total.add_sums(shard)

        curvature = curvatures[layer.name]

        eigenvalues = total.mean_squares(layer.name).float().cpu()

        # What matters most stays last on either side.
        gradients, inputs = (eigenvalues.mean(dim=dim).argsort() for dim in (1, 0))

        corrected[layer.name] = LayerCurvature(
            input_vectors=curvature.input_vectors.cpu()[:, inputs],
            gradient_vectors=curvature.gradient_vectors.cpu()[:, gradients],
            eigenvalues=eigenvalues[gradients][:, inputs],
        )

    return corrected
