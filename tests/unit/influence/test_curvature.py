"""The damped inverse is that of the dense matrices, and sums merge."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairseq2_jest.influence.curvature import (
    CorrectedSums,
    LayerCurvature,
    correct,
    decompose,
)
from fairseq2_jest.influence.curvature_config import CurvatureConfig, DampingConfig
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.factors import FactorSums
from fairseq2_jest.influence.gradients import BatchGradients, LayerTokens
from fairseq2_jest.influence.layer_tensors import from_tensors, to_tensors
from fairseq2_jest.influence.layers import TrackedLayer
from fairseq2_jest.influence.model import Positions
from fairseq2_jest.influence.tensor_file import TensorFile
from tests.unit.influence.dense import by_pair, directions_from, gradient_pass, trained_model
from tests.unit.tiny import random_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


def a_layer(input_dim: int, output_dim: int) -> TrackedLayer:
    return TrackedLayer(
        name="decoder.layers.0.ffn.inner_proj",
        module=torch.nn.Linear(input_dim, output_dim, bias=False),
        block="decoder.layers.0",
        has_bias=False,
        input_dim=input_dim,
        output_dim=output_dim,
    )


def tokens_of(inputs: Tensor, gradients: Tensor) -> LayerTokens:
    """Of pairs that are equally long: *shape:* ``(N, S, in)`` and ``(N, S, out)``."""
    present = torch.ones(inputs.shape[:2], dtype=torch.bool)

    return LayerTokens(
        inputs=inputs,
        gradients=gradients,
        has_bias=False,
        positions=Positions(present=present, counted=present),
    )


def one_pair(inputs: Tensor, gradients: Tensor) -> LayerTokens:
    return tokens_of(inputs.unsqueeze(0), gradients.unsqueeze(0))


def curvature_of(layer: TrackedLayer, tokens: LayerTokens) -> LayerCurvature:
    sums = FactorSums.zeros([layer], CPU, torch.float32)
    sums.add({layer.name: tokens})

    return decompose([layer], [sums], CPU)[layer.name]


def preconditioned(curvature: LayerCurvature, gradient: Tensor, damping: DampingConfig) -> Tensor:
    """As a seed's is, with nothing left out."""
    out_dim, in_dim = gradient.shape

    layer = a_layer(in_dim, out_dim)

    # A position for each column.
    tokens = one_pair(torch.eye(in_dim), gradient.T)

    batch = BatchGradients(places=[0], num_labels=torch.tensor([1]), layers={layer.name: tokens})

    _, directions = directions_from([batch], [layer], {layer.name: curvature}, damping)

    found = directions[layer.name]

    core = found.cores.view(found.gradient_vectors.size(1), -1)

    return found.gradient_vectors @ core @ found.input_vectors.T


@given(seed=st.integers(0, 1000), in_dim=st.integers(1, 5), out_dim=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_where_kfac_is_exact_it_is_the_inverse_of_the_dense_fisher(
    seed: int, in_dim: int, out_dim: int
) -> None:
    generator = torch.Generator().manual_seed(seed)

    # Each input meets each gradient: they are independent, which is what KFAC assumes.
    inputs = torch.randn(7, in_dim, generator=generator).repeat_interleave(4, dim=0)
    gradients = torch.randn(4, out_dim, generator=generator).repeat(7, 1)

    whole = torch.einsum("po,pi->poi", gradients, inputs).flatten(start_dim=1).double()

    fisher = whole.T @ whole / len(whole)

    gradient = torch.randn(out_dim, in_dim, generator=generator)

    damping = 0.3 * float(fisher.diagonal().mean())

    expected = torch.linalg.solve(
        fisher + damping * torch.eye(len(fisher)).double(), gradient.flatten().double()
    )

    layer = a_layer(in_dim, out_dim)

    curvature = curvature_of(layer, one_pair(inputs, gradients))

    # The mean eigenvalue is the mean of the diagonal.
    for config in (
        DampingConfig(kind="relative", value=0.3),
        DampingConfig(kind="absolute", value=damping),
    ):
        found = preconditioned(curvature, gradient, config).flatten().double()

        torch.testing.assert_close(found, expected, rtol=2e-3, atol=2e-3 * float(expected.norm()))


def test_it_is_the_inverse_of_the_kronecker_product_at_a_model() -> None:
    learner, pairs = trained_model(), random_pairs(12)

    run = gradient_pass(learner)

    sums = FactorSums.zeros(run.layers, CPU, torch.float32)

    batches = list(run.run(pairs, range(12), reduction="sum"))

    for batch in batches:
        sums.add(batch.layers)

    curvatures = decompose(run.layers, [sums], CPU)

    gradients = by_pair(list(run.run(pairs, range(12), reduction="mean")), 12)

    for layer in run.layers:
        counted = [batch.layers[layer.name] for batch in batches]

        inputs, outputs = (
            torch.cat(parts).double()
            for parts in zip(*(tokens.counted() for tokens in counted), strict=True)
        )

        dense = torch.kron(outputs.T @ outputs, inputs.T @ inputs) / len(inputs) ** 2

        damping = 0.1 * dense.diagonal().mean()

        gradient = gradients[5][layer.name]

        expected = torch.linalg.solve(
            dense + damping * torch.eye(len(dense)).double(), gradient.flatten().double()
        )

        found = preconditioned(curvatures[layer.name], gradient, DampingConfig(value=0.1))

        torch.testing.assert_close(
            found.flatten().double(), expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max())
        )


def test_ekfac_has_the_mean_squares_of_whole_gradients() -> None:
    learner, pairs = trained_model(), random_pairs(10)

    run = gradient_pass(learner)

    sums = FactorSums.zeros(run.layers, CPU, torch.float32)

    batches = list(run.run(pairs, range(10), reduction="sum"))

    for batch in batches:
        sums.add(batch.layers)

    curvatures = decompose(run.layers, [sums], CPU)

    corrected = CorrectedSums.zeros(run.layers, CPU, torch.float32)

    for batch in batches:
        corrected.add(batch.layers, len(batch.places), curvatures)

    found = correct(curvatures, run.layers, [corrected], CPU)

    gradients = by_pair(batches, 10)

    for layer in run.layers:
        vectors, values = found[layer.name], found[layer.name].eigenvalues

        squares = torch.stack(
            [
                (vectors.gradient_vectors.T @ g[layer.name] @ vectors.input_vectors).square()
                for g in gradients
            ]
        ).mean(dim=0)

        torch.testing.assert_close(values, squares, rtol=1e-3, atol=1e-5 * float(squares.max()))

        # What matters most is last, as in KFAC's, which are others.
        for dim in (0, 1):
            assert (values.mean(dim=dim).diff() >= 0.0).all()

        kfac = curvatures[layer.name].eigenvalues

        assert not torch.allclose(kfac, squares, rtol=0.5)


@pytest.mark.parametrize("num_shards", [1, 2, 5])
def test_shards_merge_to_the_whole(num_shards: int) -> None:
    learner, pairs = trained_model(), random_pairs(10)

    run = gradient_pass(learner)

    def sums(places: list[int]) -> FactorSums:
        factors = FactorSums.zeros(run.layers, CPU, torch.float32)

        for batch in run.run(pairs.take(places), places, reduction="sum", label_seed=1):
            factors.add(batch.layers)

        return factors

    whole = FactorSums.total(run.layers, [sums(list(range(10)))], CPU)

    parts = [list(range(i, 10, num_shards)) for i in range(num_shards)]

    merged = FactorSums.total(run.layers, [sums(part) for part in parts], CPU)

    assert merged.tensors.keys() == whole.tensors.keys()

    for name, tensor in whole.tensors.items():
        torch.testing.assert_close(
            merged.tensors[name], tensor, rtol=1e-5, atol=1e-6 * float(tensor.abs().max())
        )


def test_a_merge_is_exact() -> None:
    layer = a_layer(1, 1)

    def shard(value: float) -> FactorSums:
        sums = FactorSums.zeros([layer], CPU, torch.float32)
        sums.add({layer.name: one_pair(torch.tensor([[value]]), torch.tensor([[1.0]]))})

        return sums

    # In fp32 the small ones would be lost beside the large one.
    shards = [shard(2.0**13), *(shard(1.0) for _ in range(100))]

    total = FactorSums.total([layer], shards, CPU)

    assert float(total.tensors[f"{layer.name}/inputs"]) == 2.0**26 + 100.0
    assert total.count(layer.name) == 101


def test_what_is_not_counted_is_left_out_of_the_factors() -> None:
    layer = a_layer(2, 2)

    tokens = tokens_of(torch.randn(2, 3, 2), torch.randn(2, 3, 2))

    counted = torch.tensor([[True, False, True], [True, False, True]])

    sums, expected = (FactorSums.zeros([layer], CPU, torch.float32) for _ in range(2))

    positions = replace(tokens.positions, counted=counted)

    sums.add({layer.name: replace(tokens, positions=positions)})
    expected.add({layer.name: one_pair(tokens.inputs[counted], tokens.gradients[counted])})

    assert sums.count(layer.name) == 4

    for name, tensor in expected.tensors.items():
        assert torch.equal(sums.tensors[name], tensor)


def test_a_curvature_of_zero_wants_absolute_damping() -> None:
    curvature = curvature_of(a_layer(2, 3), one_pair(torch.zeros(4, 2), torch.randn(4, 3)))

    with pytest.raises(InfluenceError, match=r"set curvature\.damping\.kind to absolute"):
        preconditioned(curvature, torch.ones(3, 2), DampingConfig())

    absolute = DampingConfig(kind="absolute", value=2.0)

    torch.testing.assert_close(
        preconditioned(curvature, torch.ones(3, 2), absolute), torch.full((3, 2), 0.5)
    )


def test_a_layer_without_tokens_is_told() -> None:
    layer = a_layer(2, 2)

    with pytest.raises(InfluenceError, match=r"raise curvature\.num_pairs"):
        decompose([layer], [FactorSums.zeros([layer], CPU, torch.float32)], CPU)


def test_files_belong_to_what_made_them(tmp_path: Path) -> None:
    curvatures = {
        "a/b": curvature_of(a_layer(2, 3), one_pair(torch.randn(9, 2), torch.randn(9, 3)))
    }

    file = TensorFile(tmp_path / "new" / "curvature.safetensors", "one")

    assert file.read() is None

    file.write(to_tensors(curvatures))

    tensors = file.read()

    assert tensors is not None

    for kind in ("input_vectors", "gradient_vectors", "eigenvalues"):
        assert torch.equal(
            getattr(from_tensors(LayerCurvature, tensors, CPU)["a/b"], kind),
            getattr(curvatures["a/b"], kind),
        )

    assert TensorFile(file.path, "two").read() is None
    assert [path.name for path in file.path.parent.iterdir()] == ["curvature.safetensors"]

    content = bytearray(file.path.read_bytes())

    for place in (len(content) - 3, 2):
        damaged = content.copy()
        damaged[place] ^= 16

        file.path.write_bytes(damaged)

        assert file.read() is None

    file.path.write_bytes(content[:-5])

    assert not file.exists()


def test_processes_of_the_same_number_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    """As ranks in containers of their own; threads have one number, too."""
    file = TensorFile(tmp_path / "curvature.safetensors", "one")

    tensors = {"a": torch.randn(500, 100)}

    with ThreadPoolExecutor(4) as executor:
        for _ in executor.map(file.write, [tensors] * 16):
            pass

    read = file.read()

    assert read is not None and torch.equal(read["a"], tensors["a"])
    assert [path.name for path in tmp_path.iterdir()] == ["curvature.safetensors"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DampingConfig(value=0.0), "`value` must be positive"),
        (CurvatureConfig(num_pairs=0), "`num_pairs` must be at least 1"),
        (CurvatureConfig(num_shards=0), "`num_shards` must be at least 1"),
    ],
)
def test_config_is_checked(config: DampingConfig | CurvatureConfig, message: str) -> None:
    assert message in str(config.validate())
