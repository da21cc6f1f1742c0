"""Influence and features are those of whole gradients, however pairs are batched."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence import scoring
from fairseq2_jest.influence.curvature import LayerCurvature, decompose
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.directions import (
    Directions,
    discarded_energy,
    from_tensors,
    raw_directions,
    seed_directions,
    to_tensors,
)
from fairseq2_jest.influence.factors import FactorSums
from fairseq2_jest.influence.fitting import in_order
from fairseq2_jest.influence.gradients import GradientPass, Reduction
from fairseq2_jest.influence.layers import last_block
from fairseq2_jest.influence.projection import TwoSidedProjection
from fairseq2_jest.influence.scoring import PoolScorer, PoolScores
from tests.unit.influence.dense import (
    KINDS,
    by_pair,
    gradient_pass,
    gradients_alone,
    trained,
    trained_model,
)
from tests.unit.tiny import random_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")

DAMPING = DampingConfig(value=0.1)

SEEDS = random_pairs(3, seed=1)

POOL = random_pairs(11, seed=2)


def curvatures_of(run: GradientPass) -> dict[str, LayerCurvature]:
    sums = FactorSums.zeros(run.layers, CPU, torch.float32)

    for batch in run.run(POOL, range(11), reduction="sum", label_seed=0):
        sums.add(batch.layers)

    return decompose(run.layers, [sums], CPU)


def directions_of(
    run: GradientPass, seeds: TokenizedPairs, rank: int | None, reduction: Reduction = "mean"
) -> Directions:
    curvatures = curvatures_of(run)

    return in_order(
        run.run(seeds, range(len(seeds)), reduction=reduction),
        lambda batch: seed_directions(batch, curvatures, DAMPING, rank),
    )


def score(run: GradientPass, rank: int | None = None, reduction: Reduction = "mean") -> PoolScores:
    scorer = PoolScorer(
        run,
        directions_of(run, SEEDS, rank, reduction),
        TwoSidedProjection(last_block(run.layers), side=3, seed=7, device=CPU),
        reduction=reduction,
    )

    return scorer.score(POOL, range(11))


def dense_influence(kind: str, run: GradientPass, reduction: str) -> Tensor:
    """``-g_t^T (H + damping)^-1 g_m`` with whole gradients by autograd and a dense H."""
    learner, curvatures = trained(kind), curvatures_of(run)

    def gradients(pairs: TokenizedPairs) -> list[dict[str, Tensor]]:
        return [
            gradients_alone(learner, gradient_pass(learner).layers, pairs, i, reduction)
            for i in range(len(pairs))
        ]

    seeds, pool = gradients(SEEDS), gradients(POOL)

    influence = torch.zeros(len(pool), len(seeds), dtype=torch.float64)

    for name, curvature in curvatures.items():
        vectors = torch.kron(curvature.gradient_vectors, curvature.input_vectors).double()

        values = curvature.eigenvalues.flatten().double()

        matrix = vectors @ torch.diag(values) @ vectors.T

        damped = matrix + 0.1 * values.mean() * torch.eye(len(matrix)).double()

        ours = torch.stack([g[name].flatten() for g in pool]).double()
        theirs = torch.stack([g[name].flatten() for g in seeds]).double()

        influence -= ours @ torch.linalg.solve(damped, theirs.T)

    return influence


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_influence_is_the_dense_one(kind: str, reduction: Reduction) -> None:
    run = gradient_pass(trained(kind))

    expected = dense_influence(kind, run, reduction)

    found = score(run, reduction=reduction).influence

    torch.testing.assert_close(
        found.double(), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
    )
    assert (found < 0).any() and (found > 0).any()


def test_directions_as_they_are_give_dot_products() -> None:
    run = gradient_pass(trained_model())

    directions = in_order(
        run.run(SEEDS, range(3), reduction="mean"), partial(raw_directions, rank=None)
    )

    projection = TwoSidedProjection(last_block(run.layers), side=3, seed=7, device=CPU)

    found = PoolScorer(run, directions, projection, reduction="mean").score(POOL, range(11))

    ours, theirs = (
        by_pair(list(run.run(pairs, range(len(pairs)), reduction="mean")), len(pairs))
        for pairs in (POOL, SEEDS)
    )

    expected = -torch.tensor(
        [[sum(float((a[name] * b[name]).sum()) for name in a) for b in theirs] for a in ours]
    )

    torch.testing.assert_close(found.influence, expected, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("max_elements", [1, 500])
def test_neither_batches_nor_pieces_matter(
    max_elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = trained_model()

    together = score(gradient_pass(learner, max_num_tokens=10_000))

    monkeypatch.setattr(scoring, "_MAX_PRODUCT_ELEMENTS", max_elements)

    alone = score(gradient_pass(learner, max_num_tokens=1))

    for found, expected in (
        (alone.influence, together.influence),
        (alone.features, together.features),
    ):
        torch.testing.assert_close(
            found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max())
        )


def test_a_seed_helps_itself() -> None:
    run = gradient_pass(trained_model())

    scorer = PoolScorer(
        run,
        directions_of(run, POOL, None),
        TwoSidedProjection(last_block(run.layers), side=2, seed=0, device=CPU),
        reduction="mean",
    )

    # H is positive definite.
    assert (scorer.score(POOL, range(11)).influence.diagonal() < 0.0).all()


def test_low_rank_tells_what_it_discards_and_is_near() -> None:
    run = gradient_pass(trained_model())

    energies = [discarded_energy(directions_of(run, SEEDS, rank)) for rank in (1, 4, 8, None)]

    assert energies[0] > energies[1] > energies[2] > energies[3]
    assert energies[3] == pytest.approx(0.0, abs=1e-5)

    exact = score(run).influence

    errors = [float((score(run, rank).influence - exact).norm()) for rank in (1, 8)]

    assert errors[0] > errors[1] > 0.0


def test_features_are_projections_of_the_mean_gradient() -> None:
    learner = trained_model()

    run = gradient_pass(learner)

    projection = TwoSidedProjection(last_block(run.layers), side=3, seed=7, device=CPU)

    block = last_block(run.layers)

    # The matrices, as the projection itself shows them: that of a unit token is an outer product.
    expected = torch.zeros(11, 9)

    for number, layer in enumerate(block):
        generator = torch.Generator().manual_seed(7 + number)

        left = torch.randn(layer.output_dim, 3, generator=generator) / 3**0.5
        right = torch.randn(layer.input_dim, 3, generator=generator) / 3**0.5

        for pair in range(11):
            gradient = gradients_alone(learner, block, POOL, pair)[layer.name]

            expected[pair] += (left.T @ gradient @ right).flatten()

    assert projection.dim == 9

    for reduction in ("mean", "sum"):
        # The feature is of the mean, whatever the influence is of.
        torch.testing.assert_close(
            score(run, reduction=reduction).features, expected, rtol=1e-3, atol=1e-5
        )


def test_projections_keep_distances() -> None:
    from tests.unit.influence.test_curvature import a_layer, tokens_of

    layer = a_layer(300, 200)

    generator = torch.Generator().manual_seed(0)

    inputs, gradients = (torch.randn(60, dim, generator=generator) for dim in (300, 200))

    tokens = tokens_of(inputs, gradients, torch.arange(60) // 3)

    features = TwoSidedProjection([layer], side=20, seed=0, device=CPU).project(
        {layer.name: tokens}, 20
    )

    whole = torch.stack([gradient.flatten() for gradient in tokens.each_gradient(20)])

    ratios = torch.pdist(features) / torch.pdist(whole)

    assert features.shape == (20, 400)
    assert float(ratios.mean()) == pytest.approx(1.0, abs=0.1)
    assert float(ratios.std()) < 0.3


def test_directions_survive_a_file() -> None:
    run = gradient_pass(trained_model())

    directions = directions_of(run, SEEDS, 2)

    again = from_tensors(to_tensors(directions), CPU)

    assert again.keys() == directions.keys()

    for name, layer in directions.items():
        for kind in ("left", "right", "energy", "kept"):
            assert torch.equal(getattr(again[name], kind), getattr(layer, kind))
