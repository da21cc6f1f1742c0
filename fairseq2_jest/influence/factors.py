"""The Kronecker factors of each layer's Fisher matrix, as sums that merge exactly.

With ``a`` a layer's input and ``d`` the gradient of the summed token losses by its output, the
factors are ``A = mean of a a^T`` and ``S = mean of d d^T`` over tokens (Martens and Grosse, 2015),
and the Fisher matrix of a token is about ``A kron S``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from fairseq2.device import Device
from torch import Tensor

from fairseq2_jest.influence.gradients import LayerTokens
from fairseq2_jest.influence.layer_tensors import LayerSums
from fairseq2_jest.influence.layers import TrackedLayer


class FactorSums(LayerSums):
    """Sums of ``a a^T`` and ``d d^T`` over tokens, neither padding nor prompt.

    For each layer ``<name>/inputs`` ``(in, in)``, ``<name>/gradients`` ``(out, out)`` and
    ``<name>/count`` ``()``, int64.
    """

    @staticmethod
    def zeros(layers: Sequence[TrackedLayer], device: Device, dtype: torch.dtype) -> FactorSums:
        """Sums of nothing."""
        tensors: dict[str, Tensor] = {}

        for layer in layers:
            for kind, dim in (("inputs", layer.input_dim), ("gradients", layer.output_dim)):
                tensors[f"{layer.name}/{kind}"] = torch.zeros(dim, dim, device=device, dtype=dtype)

            tensors[f"{layer.name}/count"] = torch.zeros((), dtype=torch.int64, device=device)

        return FactorSums(tensors)

    def add(self, tokens: Mapping[str, LayerTokens]) -> None:
        """Adds the counted tokens of a batch, whose gradients are of ``reduction`` ``sum``."""
        for name, layer in tokens.items():
            inputs, gradients = layer.counted()

            self.tensors[f"{name}/inputs"].addmm_(inputs.T, inputs)
            self.tensors[f"{name}/gradients"].addmm_(gradients.T, gradients)
            self.tensors[f"{name}/count"] += len(inputs)

    @staticmethod
    def total(
        layers: Sequence[TrackedLayer], shards: Iterable[FactorSums], device: Device
    ) -> FactorSums:
        """The sum of what shards have of these layers, in their order and in fp64: the same whoever
        made which."""
        total = FactorSums.zeros(layers, device, torch.float64)

        for shard in shards:
            total.add_sums(shard)

        return total

    def count(self, layer: str) -> int:
        """How many tokens of ``layer`` were added."""
        return int(self.tensors[f"{layer}/count"])

    def means(self, layer: str) -> tuple[Tensor, Tensor]:
        """``A`` ``(in, in)`` and ``S`` ``(out, out)`` of ``layer``."""
        count = max(self.count(layer), 1)

        inputs, gradients = (self.tensors[f"{layer}/{kind}"] for kind in ("inputs", "gradients"))

        return inputs / count, gradients / count
