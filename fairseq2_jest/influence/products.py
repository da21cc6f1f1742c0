"""Dot products of the gradients of pairs with preconditioned gradients of seeds, layer by layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import islice
from typing import Final

import torch
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.influence.directions import LayerDirections
from fairseq2_jest.influence.gradients import LayerTokens

_MAX_ELEMENTS: Final = 1 << 24
"""Numbers for tokens, seeds and ranks, or of whole gradients, that are in memory at once."""


class SeedProducts(ABC):
    """The seeds' share of one layer."""

    @abstractmethod
    def of(self, tokens: LayerTokens, num_pairs: int) -> Tensor:
        """The dot product of each pair's gradient with that of each seed. *Shape of the result:*
        ``(num_pairs, T)``."""


def create_products(directions: LayerDirections) -> SeedProducts:
    """What takes less room, and is faster: at full rank it is thin gradients that are larger."""
    (_, output_dim, rank), input_dim = directions.left.shape, directions.right.size(1)

    is_whole_smaller = output_dim * input_dim <= rank * (output_dim + input_dim)

    return WholeProducts(directions) if is_whole_smaller else ThinProducts(directions)


class ThinProducts(SeedProducts):
    """With the seed's ``L R^T``, the sum over positions of ``(L^T d) . (R^T a)``."""

    def __init__(self, directions: LayerDirections) -> None:
        self._left, self._right = map(_side_by_side, (directions.left, directions.right))

        self._num_seeds = len(directions.left)

    @override
    def of(self, tokens: LayerTokens, num_pairs: int) -> Tensor:
        total = tokens.gradients.new_zeros(num_pairs, self._num_seeds)

        step = max(1, _MAX_ELEMENTS // self._left.size(1))

        for begin in range(0, len(tokens.pairs), step):
            part = slice(begin, begin + step)

            products = (tokens.gradients[part] @ self._left) * (tokens.inputs[part] @ self._right)

            by_seed = products.view(len(products), self._num_seeds, -1).sum(dim=2)

            # A product, since adding by index comes out differently each time on a GPU.
            members = tokens.pairs[part] == torch.arange(
                num_pairs, device=tokens.pairs.device
            ).unsqueeze(1)

            total += members.to(by_seed) @ by_seed

        return total


class WholeProducts(SeedProducts):
    """With the seed's ``L R^T`` and the pair's gradient both as one row of numbers."""

    def __init__(self, directions: LayerDirections) -> None:
        self._shape = (directions.left.size(1), directions.right.size(1))

        self._rows = (directions.left @ directions.right.mT).flatten(start_dim=1)

    @override
    def of(self, tokens: LayerTokens, num_pairs: int) -> Tensor:
        found = []

        parts = tokens.each_pair(num_pairs)

        step = max(1, _MAX_ELEMENTS // self._rows.size(1))

        while block := list(islice(parts, step)):
            gradients = self._rows.new_empty(len(block), *self._shape)

            for gradient, (output_gradients, inputs) in zip(gradients, block, strict=True):
                torch.mm(output_gradients.T, inputs, out=gradient)

            found.append(gradients.flatten(start_dim=1) @ self._rows.T)

        return torch.cat(found)


def _side_by_side(matrices: Tensor) -> Tensor:
    """``(T, n, r)`` to ``(n, T r)``."""
    return matrices.permute(1, 0, 2).reshape(matrices.size(1), -1).contiguous()
