"""The seeds' subspaces: as few dimensions as may be, and what they leave out is as said."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairseq2_jest.influence.curvature import LayerCurvature
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.directions import discarded_energy
from fairseq2_jest.influence.gradients import BatchGradients
from fairseq2_jest.influence.layer_tensors import from_tensors, to_tensors
from fairseq2_jest.influence.layers import TrackedLayer
from fairseq2_jest.influence.subspace import (
    LayerSubspace,
    ModeSums,
    find_subspaces,
    num_candidates,
    scaled_seeds,
)
from tests.unit.influence.dense import directions_from
from tests.unit.influence.test_curvature import a_layer, curvature_of, one_pair, tokens_of

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")

DAMPING = DampingConfig(value=0.5)


def layers_named(*shapes: tuple[int, int]) -> list[TrackedLayer]:
    return [
        replace(a_layer(in_dim, out_dim), name=f"layers.{number}")
        for number, (in_dim, out_dim) in enumerate(shapes)
    ]


def random_batch(
    layers: list[TrackedLayer], num_pairs: int, generator: torch.Generator
) -> BatchGradients:
    return BatchGradients(
        places=list(range(num_pairs)),
        num_labels=torch.ones(num_pairs, dtype=torch.int64),
        layers={
            layer.name: tokens_of(
                *(
                    torch.randn(num_pairs, 3, dim, generator=generator)
                    for dim in (layer.input_dim, layer.output_dim)
                )
            )
            for layer in layers
        },
    )


def random_curvature(layer: TrackedLayer, generator: torch.Generator) -> LayerCurvature:
    """Whose eigenvalues fall, as those of models do."""
    inputs, gradients = (
        torch.randn(40, dim, generator=generator) * 0.7 ** torch.arange(dim)
        for dim in (layer.input_dim, layer.output_dim)
    )

    return curvature_of(layer, one_pair(inputs, gradients))


@given(seed=st.integers(0, 1000), max_discarded=st.floats(0.0, 0.9))
@settings(max_examples=30, deadline=None)
def test_no_more_is_left_out_than_may_be(seed: int, max_discarded: float) -> None:
    generator = torch.Generator().manual_seed(seed)

    layers = layers_named((5, 9), (8, 4))

    curvatures = {layer.name: random_curvature(layer, generator) for layer in layers}

    seeds, directions = directions_from(
        [random_batch(layers, 6, generator)],
        layers,
        curvatures,
        DAMPING,
        max_discarded=max_discarded,
    )

    assert discarded_energy(seeds) <= max_discarded + 1e-4

    for layer in directions.values():
        assert layer.gradient_vectors.size(1) >= 1 and layer.input_vectors.size(1) >= 1


def test_seeds_that_share_few_dimensions_need_no_more() -> None:
    generator = torch.Generator().manual_seed(0)

    (layer,) = layers_named((30, 20))

    curvature = random_curvature(layer, generator)

    left, right = (
        torch.linalg.qr(torch.randn(dim, num, generator=generator)).Q
        for dim, num in ((20, 2), (30, 3))
    )

    # Gradients whose W, that is scale G / (lambda + damping), lie in 2 by 3 dimensions.
    cores = torch.randn(5, 2, 3, generator=generator)

    weights = torch.outer(*curvature.scales()) / curvature.damped(DAMPING)

    whole = (
        curvature.gradient_vectors
        @ ((left @ cores @ right.T) / weights)
        @ curvature.input_vectors.T
    )

    tokens = tokens_of(torch.eye(30).expand(5, 30, 30), whole.mT)

    batch = BatchGradients(
        places=list(range(5)), num_labels=torch.ones(5), layers={layer.name: tokens}
    )

    seeds, directions = directions_from(
        [batch], [layer], {layer.name: curvature}, DAMPING, max_discarded=1e-6
    )

    assert seeds[layer.name].cores.shape == (5, 2, 3)
    assert discarded_energy(seeds) < 1e-5

    pool = tokens_of(
        *(torch.randn(4, 6, dim, generator=generator) for dim in (30, 20)),
    )

    expected = torch.stack([*pool.each_gradient()]).flatten(start_dim=1) @ (
        damped_inverse(curvature, whole).flatten(start_dim=1).T
    )

    found = directions[layer.name].products(pool)

    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-3 * float(expected.abs().max()))


def damped_inverse(curvature: LayerCurvature, gradients: Tensor) -> Tensor:
    left, right = curvature.gradient_vectors, curvature.input_vectors

    return left @ (left.T @ gradients @ right / curvature.damped(DAMPING)) @ right.T


def test_what_the_curvature_has_not_seen_counts_all_the_same() -> None:
    generator = torch.Generator().manual_seed(3)

    (layer,) = layers_named((8, 6))

    # Two positions, hence four of six and six of eight eigenvalues are zero.
    curvature = curvature_of(
        layer, one_pair(*(torch.randn(2, dim, generator=generator) for dim in (8, 6)))
    )

    batch, pool = (random_batch([layer], num, generator) for num in (4, 5))

    _, directions = directions_from([batch], [layer], {layer.name: curvature}, DAMPING)

    whole, other = (
        torch.stack([*part.layers[layer.name].each_gradient()]) for part in (batch, pool)
    )

    expected = other.flatten(start_dim=1) @ (
        damped_inverse(curvature, whole).flatten(start_dim=1).T
    )

    found = directions[layer.name].products(pool.layers[layer.name])

    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_dimensions_go_to_the_layers_that_matter() -> None:
    generator = torch.Generator().manual_seed(1)

    layers = layers_named((10, 10), (10, 10), (10, 10))

    batch = random_batch(layers, 8, generator)

    curvatures = {layer.name: random_curvature(layer, generator) for layer in layers}

    # The second says next to nothing, the third nothing.
    for name, factor in (("layers.1", 1e-2), ("layers.2", 0.0)):
        tokens = batch.layers[name]

        batch = replace(
            batch,
            layers={**batch.layers, name: replace(tokens, gradients=tokens.gradients * factor)},
        )

    _, directions = directions_from(
        [batch], layers, curvatures, DampingConfig(kind="absolute", value=1.0), max_discarded=0.05
    )

    sizes = [directions[layer.name].gradient_vectors.size(1) for layer in layers]

    assert sizes[0] > 3
    assert sizes[1:] == [1, 1]


def test_a_rank_keeps_what_is_largest() -> None:
    generator = torch.Generator().manual_seed(5)

    (layer,) = layers_named((40, 30))

    curvature, rank = random_curvature(layer, generator), 3

    # Most of the eigenvectors are no candidates.
    assert num_candidates(rank, 30) < 15

    batch = random_batch([layer], 12, generator)

    seeds, _ = directions_from([batch], [layer], {layer.name: curvature}, DAMPING, rank=rank)

    scaled = torch.stack([*scaled_seeds(batch.layers[layer.name], curvature, DAMPING)])

    left, right = (
        torch.linalg.eigh((side @ side.mT).sum(dim=0)).eigenvectors[:, -rank:]
        for side in (scaled, scaled.mT)
    )

    best = float((left.T @ scaled @ right).square().sum() / scaled.square().sum())

    assert 0.2 < best < 0.95
    assert 1.0 - discarded_energy(seeds) == pytest.approx(best, rel=0.05)


def test_what_lies_outside_the_candidates_is_left_out_already() -> None:
    (layer,) = layers_named((12, 12))

    curvature = LayerCurvature(
        input_vectors=torch.eye(12),
        gradient_vectors=torch.eye(12),
        eigenvalues=torch.ones(12, 12),
    )

    # Of a rank of 2 the last eight are candidates.
    assert num_candidates(2, 12) == 8

    gradient = torch.zeros(12, 12)

    for place, energy in ((11, 0.7), (10, 0.1), (0, 0.2)):
        gradient[place, place] = energy**0.5

    batch = BatchGradients(
        places=[0],
        num_labels=torch.ones(1),
        layers={layer.name: one_pair(torch.eye(12), gradient.T)},
    )

    def found(max_discarded: float) -> tuple[int, float]:
        seeds, _ = directions_from(
            [batch],
            [layer],
            {layer.name: curvature},
            DAMPING,
            max_discarded=max_discarded,
            rank=2,
        )

        return seeds[layer.name].cores.size(1), discarded_energy(seeds)

    # The tenth that is left fits in only once it may be 0.4: it counts on either side.
    assert found(0.25) == pytest.approx((2, 0.2))
    assert found(0.45) == pytest.approx((1, 0.3))


def test_shards_merge_to_the_whole() -> None:
    generator = torch.Generator().manual_seed(2)

    layers = layers_named((7, 5))

    curvatures = {layer.name: random_curvature(layer, generator) for layer in layers}

    parts = [random_batch(layers, num, generator) for num in (3, 1, 4)]

    together, *shards = (ModeSums.zeros(layers, None, CPU, torch.float32) for _ in range(4))

    for part, shard in zip(parts, shards, strict=True):
        for sums in (together, shard):
            sums.add(part.layers, curvatures, DAMPING)

    found, expected = (
        find_subspaces(layers, sums, max_discarded=0.1, rank=None, device=CPU)
        for sums in (shards, [together])
    )

    for name, subspace in expected.items():
        for kind in ("gradient_axes", "input_axes"):
            ours, theirs = getattr(found[name], kind), getattr(subspace, kind)

            # The same dimensions, whatever the sign of each.
            torch.testing.assert_close(ours @ ours.T, theirs @ theirs.T, rtol=1e-3, atol=1e-4)


def test_energy_is_what_influence_varies_by_where_kfac_is_right() -> None:
    generator = torch.Generator().manual_seed(4)

    (layer,) = layers_named((4, 3))

    # Each input meets each gradient: they are independent, which is what KFAC assumes.
    inputs = torch.randn(30, 4, generator=generator).repeat_interleave(20, dim=0)
    gradients = torch.randn(20, 3, generator=generator).repeat(30, 1)

    curvature = curvature_of(layer, one_pair(inputs, gradients))

    seeds = random_batch([layer], 5, generator)

    _, directions = directions_from([seeds], [layer], {layer.name: curvature}, DAMPING)

    # Every position a pair of its own.
    pool = tokens_of(inputs.unsqueeze(1), gradients.unsqueeze(1))

    variance = directions[layer.name].products(pool).square().mean(dim=0)

    energy = torch.stack(
        [
            scaled.square().sum()
            for scaled in scaled_seeds(seeds.layers[layer.name], curvature, DAMPING)
        ]
    )

    torch.testing.assert_close(variance, energy, rtol=1e-3, atol=0.0)


def test_subspaces_survive_a_file() -> None:
    subspaces = {
        "a/b": LayerSubspace(gradient_axes=torch.randn(5, 2), input_axes=torch.randn(4, 3))
    }

    (again,) = from_tensors(LayerSubspace, to_tensors(subspaces), CPU).values()

    for kind in ("gradient_axes", "input_axes"):
        assert torch.equal(getattr(again, kind), getattr(subspaces["a/b"], kind))
