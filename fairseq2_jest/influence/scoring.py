"""The pass over the pool: influence on all seeds, and features; no gradient is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.directions import Directions
from fairseq2_jest.influence.gradients import GradientPass, LayerTokens, Reduction
from fairseq2_jest.influence.projection import TwoSidedProjection


@dataclass(frozen=True, kw_only=True)
class PoolScores:
    """What the pass finds out about N pairs."""

    influence: Tensor
    """On each of T seeds; negative is helpful. *Shape:* ``(N, T)``, fp32."""

    features: Tensor
    """The projected gradient of the last tracked FFN, averaged over the tokens of the response.
    *Shape:* ``(N, D)``, fp32."""


class PoolScorer:
    """Computes ``I(m, t) = -g_t^T (H + damping)^-1 g_m`` (Eq. 3 and 14), layer by layer."""

    def __init__(
        self,
        gradients: GradientPass,
        directions: Directions,
        projection: TwoSidedProjection,
        *,
        reduction: Reduction,
    ) -> None:
        self._gradients = gradients
        self._directions = directions
        self._projection = projection
        self._reduction = reduction

        self._num_seeds = next(iter(directions.values())).cores.size(1)

    @property
    def feature_dim(self) -> int:
        """The length of a feature."""
        return self._projection.dim

    def score(self, pairs: TokenizedPairs, rows: Sequence[int]) -> PoolScores:
        """
        :param rows: The rows of the pool that ``pairs`` are.

        :raises InfluenceError: A gradient is not finite.
        """
        influence = torch.empty(len(pairs), self._num_seeds)
        features = torch.empty(len(pairs), self._projection.dim)

        for batch in self._gradients.run(pairs, rows, reduction=self._reduction):
            influence[batch.places] = self._influence(batch.layers).cpu()

            projected = self._projection.project(batch.layers).cpu()

            if self._reduction == "sum":
                projected /= batch.num_labels.cpu()[:, None]

            features[batch.places] = projected

        return PoolScores(influence=influence, features=features)

    def _influence(self, layers: Mapping[str, LayerTokens]) -> Tensor:
        shares = [self._directions[name].products(tokens) for name, tokens in layers.items()]

        return -torch.stack(shares).sum(dim=0)
