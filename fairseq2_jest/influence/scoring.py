"""The pass over the pool: influence on all seeds, and features; no gradient is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.directions import Directions
from fairseq2_jest.influence.gradients import GradientPass, LayerTokens, Reduction
from fairseq2_jest.influence.projection import TwoSidedProjection

_MAX_PRODUCT_ELEMENTS: Final = 1 << 24
"""Numbers for tokens, seeds and ranks that are in memory at once."""


@dataclass(frozen=True, kw_only=True)
class PoolScores:
    """What the pass finds out about N pairs."""

    influence: Tensor
    """On each of T seeds; negative is helpful. *Shape:* ``(N, T)``, fp32."""

    features: Tensor
    """The projected gradient of the last tracked FFN, averaged over the tokens of the response.
    *Shape:* ``(N, D)``, fp32."""


class PoolScorer:
    """Computes ``I(m, t) = -g_t^T (H + damping)^-1 g_m`` (Eq. 3 and 14) without forming ``g_m``.

    With the seed's preconditioned gradient ``L R^T`` and the pair's gradient a sum over positions
    of ``d a^T``, it is minus the sum over layers and positions of ``(L^T d) . (R^T a)``.
    """

    def __init__(
        self,
        gradients: GradientPass,
        directions: Directions,
        projection: TwoSidedProjection,
        *,
        reduction: Reduction,
    ) -> None:
        self._gradients = gradients
        self._projection = projection
        self._reduction = reduction

        self._lefts = {name: _side_by_side(layer.left) for name, layer in directions.items()}
        self._rights = {name: _side_by_side(layer.right) for name, layer in directions.items()}

        self._num_seeds = len(next(iter(directions.values())).left)

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
            num_pairs = len(batch.places)

            influence[batch.places] = self._influence(batch.layers, num_pairs).cpu()

            projected = self._projection.project(batch.layers, num_pairs).cpu()

            if self._reduction == "sum":
                projected /= batch.num_labels.cpu()[:, None]

            features[batch.places] = projected

        return PoolScores(influence=influence, features=features)

    def _influence(self, layers: Mapping[str, LayerTokens], num_pairs: int) -> Tensor:
        total: Tensor | None = None

        for name, tokens in layers.items():
            left, right = self._lefts[name], self._rights[name]

            step = max(1, _MAX_PRODUCT_ELEMENTS // left.size(1))

            for begin in range(0, len(tokens.pairs), step):
                part = slice(begin, begin + step)

                products = (tokens.gradients[part] @ left) * (tokens.inputs[part] @ right)

                by_seed = products.view(len(products), self._num_seeds, -1).sum(dim=2)

                # A product, since adding by index comes out differently each time on a GPU.
                members = tokens.pairs[part] == torch.arange(
                    num_pairs, device=tokens.pairs.device
                ).unsqueeze(1)

                share = members.to(by_seed) @ by_seed

                total = share if total is None else total + share

        assert total is not None

        return -total


def _side_by_side(matrices: Tensor) -> Tensor:
    """``(T, n, r)`` to ``(n, T r)``."""
    return matrices.permute(1, 0, 2).reshape(matrices.size(1), -1).contiguous()
