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

        self._matrices: dict[str, tuple[Tensor, Tensor]] = {}

        for number, layer in enumerate(layers):
            # A generator of its own for each, on the CPU: the same on every device.
            generator = torch.Generator().manual_seed(seed + number)

            left, right = (
                (torch.randn(dim, side, generator=generator) / side**0.5).to(device)
                for dim in (layer.output_dim, layer.input_dim)
            )

            self._matrices[layer.name] = (left, right)

    def project(self, tokens: Mapping[str, LayerTokens]) -> Tensor:
        """The feature of each of N pairs' gradients. *Shape of the result:* ``(N, k^2)``."""
        parts = [tokens[name].project(*sides) for name, sides in self._matrices.items()]

        return torch.stack(parts).sum(dim=0).flatten(start_dim=1)
