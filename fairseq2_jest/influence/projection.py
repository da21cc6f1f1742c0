"""Features of gradients: random projections from both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from fairseq2.device import Device
from torch import Tensor

from fairseq2_jest.influence.gradients import LayerTokens
from fairseq2_jest.influence.layers import TrackedLayer


class TwoSidedProjection:
    """Takes a gradient ``G`` to ``U^T G V``, which keeps distances nearly (Bingham and Mannila).

    The features of several layers are added up: that is a projection of all their gradients put
    one behind the other. With side k there are ``k^2`` numbers: 20 gives the paper's 400. ``G`` is
    a sum of ``d a^T`` over positions, hence its feature is one of ``(U^T d)(V^T a)^T``.
    """

    def __init__(
        self, layers: Sequence[TrackedLayer], *, side: int, seed: int, device: Device
    ) -> None:
        self.dim = side * side

        self._side = side
        self._matrices = {}

        for number, layer in enumerate(layers):
            # A generator of its own for each, on the CPU: the same on every device.
            generator = torch.Generator().manual_seed(seed + number)

            self._matrices[layer.name] = tuple(
                (torch.randn(dim, side, generator=generator) / side**0.5).to(device)
                for dim in (layer.output_dim, layer.input_dim)
            )

    def project(self, tokens: Mapping[str, LayerTokens], num_pairs: int) -> Tensor:
        """The feature of each pair's gradient. *Shape of the result:* ``(num_pairs, k^2)``."""
        total: Tensor | None = None

        for name, (left, right) in self._matrices.items():
            features = torch.stack([*tokens[name].between(left, right).each_gradient(num_pairs)])

            total = features if total is None else total + features

        assert total is not None

        return total.flatten(start_dim=1)
