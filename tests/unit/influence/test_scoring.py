"""Influence and features are those of whole gradients, however pairs are batched."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence import directions as directions_module
from fairseq2_jest.influence.curvature import LayerCurvature, decompose
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.directions import (
    LayerDirections,
    SeedCores,
    directions_of,
    discarded_energy,
    raw_cores,
)
from fairseq2_jest.influence.factors import FactorSums
from fairseq2_jest.influence.fitting import in_order
from fairseq2_jest.influence.gradients import GradientPass, Reduction
from fairseq2_jest.influence.layer_tensors import from_tensors, to_tensors
from fairseq2_jest.influence.layers import last_block
from fairseq2_jest.influence.projection import TwoSidedProjection
from fairseq2_jest.influence.scoring import PoolScorer, PoolScores
from fairseq2_jest.influence.subspace import ModeSums, find_subspaces
from tests.unit.influence.dense import (
    KINDS,
    by_pair,
    directions_from,
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


def seeds_and_directions(
    run: GradientPass,
    seeds: TokenizedPairs,
    max_discarded: float = 0.0,
    rank: int | None = None,
    reduction: Reduction = "mean",
) -> tuple[dict[str, SeedCores], dict[str, LayerDirections]]:
    return directions_from(
        list(run.run(seeds, range(len(seeds)), reduction=reduction)),
        run.layers,
        curvatures_of(run),
        DAMPING,
        max_discarded=max_discarded,
        rank=rank,
    )


def score(
    run: GradientPass, max_discarded: float = 0.0, reduction: Reduction = "mean"
) -> PoolScores:
    _, directions = seeds_and_directions(run, SEEDS, max_discarded, reduction=reduction)

    scorer = PoolScorer(
        run,
        directions,
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

    curvatures = curvatures_of(run)

    batches = list(run.run(SEEDS, range(3), reduction="mean"))

    sums = ModeSums.zeros(run.layers, None, CPU, torch.float32)

    for batch in batches:
        sums.add(batch.layers, curvatures, DAMPING)

    subspaces = find_subspaces(run.layers, [sums], max_discarded=0.0, rank=None, device=CPU)

    raw = in_order(batches, lambda batch: raw_cores(batch, curvatures, subspaces))

    directions = directions_of(raw, curvatures, subspaces)

    projection = TwoSidedProjection(last_block(run.layers), side=3, seed=7, device=CPU)

    found = PoolScorer(run, directions, projection, reduction="mean").score(POOL, range(11))

    ours, theirs = (
        by_pair(list(run.run(pairs, range(len(pairs)), reduction="mean")), len(pairs))
        for pairs in (POOL, SEEDS)
    )

    expected = -torch.tensor(
        [[sum(float((a[name] * b[name]).sum()) for name in a) for b in theirs] for a in ours]
    )

    torch.testing.assert_close(found.influence, expected, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("max_discarded", [0.1, 0.0])
@pytest.mark.parametrize("max_elements", [1, 500])
def test_neither_batches_nor_pieces_matter(
    max_elements: int, max_discarded: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = trained_model()

    together = score(gradient_pass(learner, max_num_tokens=10_000), max_discarded)

    monkeypatch.setattr(directions_module, "_MAX_ELEMENTS", max_elements)

    alone = score(gradient_pass(learner, max_num_tokens=1), max_discarded)

    for found, expected in (
        (alone.influence, together.influence),
        (alone.features, together.features),
    ):
        torch.testing.assert_close(
            found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
        )


def test_a_seed_helps_itself() -> None:
    run = gradient_pass(trained_model())

    scorer = PoolScorer(
        run,
        seeds_and_directions(run, POOL)[1],
        TwoSidedProjection(last_block(run.layers), side=2, seed=0, device=CPU),
        reduction="mean",
    )

    # H is positive definite.
    assert (scorer.score(POOL, range(11)).influence.diagonal() < 0.0).all()


def test_fewer_dimensions_tell_what_they_leave_out_and_are_near() -> None:
    run = gradient_pass(trained_model())

    shares = (0.5, 0.2, 0.05, 0.0)

    found = [discarded_energy(seeds_and_directions(run, SEEDS, share)[0]) for share in shares]

    assert all(left <= share + 1e-6 for left, share in zip(found, shares, strict=True))
    assert found[0] > found[1] > found[2] > found[3]

    exact = score(run).influence

    errors = [float((score(run, share).influence - exact).norm()) for share in shares[:3]]

    assert errors[0] > errors[1] > errors[2] > 0.0
    # What varies is what is kept.
    assert errors[2] < 0.25 * float(exact.norm())


def test_rank_is_the_most_dimensions_of_a_side() -> None:
    run = gradient_pass(trained_model())

    seeds, directions = seeds_and_directions(run, SEEDS, rank=4)

    for name, layer in directions.items():
        assert layer.gradient_vectors.size(1) == layer.input_vectors.size(1) == 4
        assert seeds[name].cores.shape == (3, 4, 4)

    assert discarded_energy(seeds) > 0.1


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

    inputs, gradients = (torch.randn(20, 3, dim, generator=generator) for dim in (300, 200))

    tokens = tokens_of(inputs, gradients)

    features = TwoSidedProjection([layer], side=20, seed=0, device=CPU).project(
        {layer.name: tokens}
    )

    whole = torch.stack([gradient.flatten() for gradient in tokens.each_gradient()])

    ratios = torch.pdist(features) / torch.pdist(whole)

    assert features.shape == (20, 400)
    assert float(ratios.mean()) == pytest.approx(1.0, abs=0.1)
    assert float(ratios.std()) < 0.3


def test_seeds_survive_a_file() -> None:
    seeds, _ = seeds_and_directions(gradient_pass(trained_model()), SEEDS, 0.1)

    again = from_tensors(SeedCores, to_tensors(seeds), CPU)

    assert again.keys() == seeds.keys()

    for name, layer in seeds.items():
        for kind in ("cores", "energy", "kept"):
            assert torch.equal(getattr(again[name], kind), getattr(layer, kind))
