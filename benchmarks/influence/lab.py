"""Influence of pairs on trusted seeds under many settings, from gradients that are taken once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import CPU
from fairseq2.gang import FakeGang
from fairseq2.models.transformer import TransformerModel
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.embedding.tokens import PairReader, TokenizedPairs
from fairseq2_jest.influence.curvature import LayerCurvature
from fairseq2_jest.influence.curvature_config import CurvatureConfig, DampingConfig
from fairseq2_jest.influence.directions import LayerDirections, directions_of, seed_cores
from fairseq2_jest.influence.fitting import Workplace, fit_curvature
from fairseq2_jest.influence.gradients import BatchGradients, GradientPass, LayerTokens, Reduction
from fairseq2_jest.influence.layers import LayersConfig, TrackedLayer, find_layers, last_block
from fairseq2_jest.influence.model import PairModel, Positions
from fairseq2_jest.influence.projection import TwoSidedProjection
from fairseq2_jest.influence.scoring import PoolScorer
from fairseq2_jest.influence.subspace import ModeSums, find_subspaces

Influence = NDArray[np.float32]
"""Of N pairs on T seeds; negative is helpful. *Shape:* ``(N, T)``."""

NUM_CURVATURE_PAIRS = 1_000

_MAX_NUM_TOKENS = 2048
_SEED = 1


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How influence is computed."""

    method: Literal["kfac", "ekfac", "none"] = "kfac"
    """``none``: the dot product of the gradients as they are."""

    labels: Literal["sampled", "empirical"] = "sampled"

    damping: DampingConfig = field(default_factory=lambda: DampingConfig(value=0.1))

    reduction: Reduction = "mean"

    num_seeds: int = 128

    layers: str = ""
    """Only tracked layers whose names contain this."""

    each_seed: bool = False
    """Whether influence is wanted on each seed, else on the mean of the seeds only, at a fraction
    of the cost."""

    max_discarded: float = 0.0
    """The share of what influence varies by that is left out; `mt select` leaves out 0.05."""


class Lab:
    """A model, pairs of a pool and seeds; curvatures are estimated once, under a folder."""

    def __init__(
        self,
        model: TransformerModel,
        tokenizer: Tokenizer,
        *,
        pool: PairReader,
        num_pool_pairs: int,
        pairs: TokenizedPairs,
        seeds: TokenizedPairs,
        scratch: Path,
    ) -> None:
        """
        :param pool: What the curvature is estimated on.
        :param pairs: Those whose influence is asked for.
        """
        wrapped = PairModel(model, tokenizer, device=CPU, max_num_tokens=_MAX_NUM_TOKENS)

        self._pool = pool
        self._num_pool_pairs = num_pool_pairs
        self._scratch = scratch
        self._gradients = GradientPass(
            wrapped, find_layers(model, LayersConfig(stride=1)), device=CPU
        )
        self._pairs = RecordedPass(self._gradients, pairs)
        self._seeds = RecordedPass(self._gradients, seeds)

        self.gradient_norms = self._pairs.norms()
        """Of each pair, averaged over its tokens. *Shape:* ``(N)``."""

    def influence(self, setting: Setting) -> Influence:
        with torch.no_grad():
            curvatures, damping = self._curvature(setting)

            layers = [x for x in self._gradients.layers if setting.layers in x.name]

            seeds = self._seeds.restricted(layers)

            directions = seeds.directions(setting, curvatures, damping)

            scorer = PoolScorer(
                self._pairs.restricted(layers),
                directions,
                TwoSidedProjection(last_block(layers), side=1, seed=0, device=CPU),
                reduction=setting.reduction,
            )

            pairs = self._pairs.pairs

            influence: Influence = scorer.score(pairs, range(len(pairs))).influence.numpy()

        return influence

    def _curvature(self, setting: Setting) -> tuple[dict[str, LayerCurvature], DampingConfig]:
        if setting.method == "none":
            # (0 + 1)^-1 g is g.
            return no_curvature(self._gradients.layers), DampingConfig(kind="absolute", value=1.0)

        config = CurvatureConfig(
            method=setting.method,
            labels=setting.labels,
            num_pairs=NUM_CURVATURE_PAIRS,
            num_shards=1,
        )

        # Both methods have the same factors.
        place = Workplace(
            self._scratch / setting.labels, setting.labels, gang=FakeGang(CPU), device=CPU
        )

        curvatures = fit_curvature(
            place, self._gradients, self._pool, self._num_pool_pairs, config, seed=_SEED
        )

        return curvatures, setting.damping


class RecordedPass(GradientPass):
    """The gradients of some pairs, which stay in memory."""

    def __init__(
        self,
        gradients: GradientPass,
        pairs: TokenizedPairs,
        batches: Sequence[BatchGradients] | None = None,
        layers: Sequence[TrackedLayer] | None = None,
    ) -> None:
        self._origin = gradients
        self._layers = layers or gradients.layers
        self._batches = batches or list(
            gradients.run(pairs, list(range(len(pairs))), reduction="mean")
        )
        self.pairs = pairs

    def restricted(self, layers: Sequence[TrackedLayer]) -> RecordedPass:
        """The same with some of the layers."""
        names = {layer.name for layer in layers}

        batches = [
            replace(batch, layers={n: t for n, t in batch.layers.items() if n in names})
            for batch in self._batches
        ]

        return RecordedPass(self._origin, self.pairs, batches, layers)

    @override
    def run(
        self,
        pairs: TokenizedPairs,
        rows: Sequence[int],
        *,
        reduction: Reduction,
        label_seed: int | None = None,
    ) -> Iterator[BatchGradients]:
        if pairs is not self.pairs or label_seed is not None:
            raise ValueError("Only what is recorded can be played back.")

        for batch in self._batches:
            yield batch if reduction == "mean" else _summed(batch)

    def norms(self) -> NDArray[np.float32]:
        """The norms of the pairs' gradients, all layers together."""
        squares = torch.zeros(len(self.pairs))

        for batch in self._batches:
            for tokens in batch.layers.values():
                for place, gradient in zip(batch.places, tokens.each_gradient(), strict=True):
                    squares[place] += gradient.square().sum()

        norms: NDArray[np.float32] = squares.sqrt().numpy()

        return norms

    def directions(
        self, setting: Setting, curvatures: dict[str, LayerCurvature], damping: DampingConfig
    ) -> dict[str, LayerDirections]:
        """The seeds as the scorer wants them: one by one, or their mean."""
        batches = [
            _first(batch, setting.num_seeds)
            for batch in self.run(self.pairs, [], reduction=setting.reduction)
            if min(batch.places) < setting.num_seeds
        ]

        if not setting.each_seed:
            batches = [_together(batches)]

        sums = ModeSums.zeros(self._layers, None, CPU, torch.float32)

        for batch in batches:
            sums.add(batch.layers, curvatures, damping)

        subspaces = find_subspaces(
            self._layers, [sums], max_discarded=setting.max_discarded, rank=None, device=CPU
        )

        parts = [seed_cores(batch, curvatures, subspaces, damping) for batch in batches]

        cores = {name: torch.cat([part[name].cores for part in parts]) for name in subspaces}

        return directions_of(cores, curvatures, subspaces)


def _together(batches: Sequence[BatchGradients]) -> BatchGradients:
    """A pair whose gradient is the mean of those of all pairs of the batches."""
    num_pairs = sum(len(batch.places) for batch in batches)

    def in_one(tensors: Iterable[Tensor]) -> Tensor:
        """Positions of all pairs one behind the other, padding among them."""
        return torch.cat([tensor.flatten(end_dim=1) for tensor in tensors]).unsqueeze(0)

    def join(name: str) -> LayerTokens:
        parts = [batch.layers[name] for batch in batches]

        return LayerTokens(
            inputs=in_one(part.inputs for part in parts),
            gradients=in_one(part.gradients for part in parts) / num_pairs,
            has_bias=parts[0].has_bias,
            positions=Positions(
                present=in_one(part.positions.present for part in parts),
                counted=in_one(part.positions.counted for part in parts),
            ),
        )

    return BatchGradients(
        places=[0],
        num_labels=torch.stack([batch.num_labels.sum() for batch in batches]).sum()[None],
        layers={name: join(name) for name in batches[0].layers},
    )


def _first(batch: BatchGradients, num_pairs: int) -> BatchGradients:
    """Those pairs of a batch that are among the first so many."""
    kept = [pair for pair, place in enumerate(batch.places) if place < num_pairs]

    def take(tokens: LayerTokens) -> LayerTokens:
        return replace(
            tokens,
            inputs=tokens.inputs[kept],
            gradients=tokens.gradients[kept],
            positions=Positions(
                present=tokens.positions.present[kept], counted=tokens.positions.counted[kept]
            ),
        )

    return BatchGradients(
        places=[batch.places[pair] for pair in kept],
        num_labels=batch.num_labels[kept],
        layers={name: take(tokens) for name, tokens in batch.layers.items()},
    )


def _summed(batch: BatchGradients) -> BatchGradients:
    """The same with each pair's loss the sum over its tokens, not the mean."""
    return replace(
        batch,
        layers={
            name: replace(tokens, gradients=tokens.gradients * batch.num_labels[:, None, None])
            for name, tokens in batch.layers.items()
        },
    )


def no_curvature(layers: Sequence[TrackedLayer]) -> dict[str, LayerCurvature]:
    """A curvature of zero, for damping to make the identity of."""
    return {
        layer.name: LayerCurvature(
            input_vectors=torch.eye(layer.input_dim),
            gradient_vectors=torch.eye(layer.output_dim),
            eigenvalues=torch.zeros(layer.output_dim, layer.input_dim),
        )
        for layer in layers
    }
