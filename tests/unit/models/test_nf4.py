"""Linear layers in 4 bits, against bitsandbytes' own and against the definition of NF4."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairseq2_jest.models.nf4 import Nf4Linear, num_weights

pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: make setup")


def plain(out_features: int = 24, in_features: int = 16, *, scale: float = 1.0) -> torch.nn.Linear:
    linear = torch.nn.Linear(in_features, out_features)

    generator = torch.Generator().manual_seed(0)

    with torch.no_grad():
        linear.weight.copy_(torch.randn(out_features, in_features, generator=generator) * scale)

    return linear.requires_grad_(False)


def theirs(linear: torch.nn.Linear) -> torch.nn.Linear:
    """bitsandbytes' layer of the same weights."""
    import bitsandbytes

    layer: torch.nn.Linear = bitsandbytes.nn.LinearNF4(
        linear.in_features, linear.out_features, compress_statistics=False
    )

    layer.load_state_dict({k: v.bfloat16() for k, v in linear.state_dict().items()}, assign=True)

    layer.weight = bitsandbytes.nn.Params4bit(
        linear.weight.bfloat16(), quant_type="nf4", compress_statistics=False, module=layer
    ).to("cpu")

    return layer


def held(layer: Nf4Linear) -> tuple[Tensor, Tensor]:
    return layer.packed.clone(), layer.absmax.clone()


def error(actual: Tensor, expected: Tensor) -> float:
    """The length of the difference for each of what is expected."""
    return float(((actual - expected).norm() / expected.norm()).detach())


def test_weights_are_the_nearest_of_the_sixteen_numbers_of_the_paper() -> None:
    linear = plain(20, 16)

    # Appendix E of arXiv 2305.14314, to four digits.
    negative = [-1.0, -0.6962, -0.5251, -0.3949, -0.2844, -0.1848, -0.0911]
    positive = [0.0796, 0.1609, 0.2461, 0.3379, 0.4407, 0.5626, 0.7230, 1.0]

    numbers = torch.tensor([*negative, 0.0, *positive])

    blocks = linear.weight.bfloat16().float().reshape(-1, 64)

    scale = blocks.abs().amax(dim=1, keepdim=True)

    nearest = numbers[((blocks / scale).unsqueeze(2) - numbers).abs().argmin(dim=2)] * scale

    weight = Nf4Linear(linear).weight

    # The last bit of bfloat16.
    torch.testing.assert_close(weight, nearest.reshape(20, 16), rtol=2**-8, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_computes_what_bitsandbytes_layer_does(dtype: torch.dtype) -> None:
    # Of narrower ones bitsandbytes' kernel for AVX-512 confuses the blocks.
    linear = plain(24, 64)

    layer, oracle = Nf4Linear(linear), theirs(linear)

    inputs = torch.randn(5, 3, 64, generator=torch.Generator().manual_seed(1), dtype=dtype)

    mine, their = (inputs.clone().requires_grad_() for _ in range(2))

    with torch.no_grad():
        oracle.bias.copy_(linear.bias.bfloat16())
        linear.bias.copy_(linear.bias.bfloat16())

    expected, actual = oracle(their), layer(mine)

    assert actual.dtype == dtype
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-6)

    for output in (expected, actual):
        output.square().sum().backward()

    # bitsandbytes rounds the weights to bfloat16 on the way back.
    assert mine.grad is not None and their.grad is not None
    assert error(mine.grad, their.grad) < 2**-7


def test_gradients_are_those_of_a_plain_layer_of_the_same_weights() -> None:
    layer = Nf4Linear(plain())

    weight = layer.state_dict()["weight"].float()

    inputs = torch.randn(5, 16, requires_grad=True)

    (actual,) = torch.autograd.grad(layer(inputs).square().sum(), inputs)

    output = torch.nn.functional.linear(inputs, weight, layer.bias)

    (expected,) = torch.autograd.grad(output.square().sum(), inputs)

    # The state is rounded to bfloat16.
    assert error(actual, expected) < 2**-7


def test_it_computes_in_the_type_of_autocast_as_a_plain_layer_does() -> None:
    linear = plain()

    layer = Nf4Linear(linear)

    linear.weight.copy_(layer.weight)

    inputs = torch.randn(5, 16, requires_grad=True)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        expected, actual = linear(inputs), layer(inputs)

    assert actual.dtype == expected.dtype == torch.bfloat16
    assert actual.equal(expected)

    (expected,) = torch.autograd.grad(expected.sum(), inputs)
    (actual,) = torch.autograd.grad(actual.sum(), inputs)

    assert error(actual, expected) < 2**-7


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 12),
    # bitsandbytes compiles something where it is odd.
    columns=st.integers(1, 40).map(lambda half: 2 * half),
    exponents=st.lists(st.integers(-30, 30), min_size=1, max_size=8),
    zeros=st.floats(0.0, 1.0),
    seed=st.integers(0, 2**31),
)
def test_what_is_saved_becomes_the_same_bits(
    rows: int, columns: int, exponents: list[int], zeros: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)

    linear = torch.nn.Linear(columns, rows).requires_grad_(False)

    weight = torch.randn(rows, columns, generator=generator)

    weight *= torch.rand(rows, columns, generator=generator) >= zeros

    weight *= 2.0 ** torch.tensor(exponents)[torch.arange(rows) % len(exponents)].unsqueeze(1)

    linear.weight.copy_(weight)

    layer = Nf4Linear(linear)

    state = layer.state_dict()

    assert {key: value.dtype for key, value in state.items()} == {
        "weight": torch.bfloat16,
        "bias": torch.float32,
    }

    other = Nf4Linear(torch.nn.Linear(columns, rows).requires_grad_(False))

    other.load_state_dict(state)

    for expected, actual in zip(held(layer), held(other), strict=True):
        assert actual.equal(expected)

    again = other.state_dict()

    assert all(value.equal(again[key]) for key, value in state.items())


def test_a_plain_layer_loads_what_it_saves() -> None:
    layer, linear = Nf4Linear(plain()), torch.nn.Linear(16, 24)

    linear.load_state_dict(layer.state_dict())

    # Both are rounded to bfloat16.
    assert linear.weight.equal(layer.weight)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"bias": torch.zeros(24)}, "Missing key"),
        ({"weight": torch.zeros(24, 17), "bias": torch.zeros(24)}, "size mismatch"),
        (
            {"weight": torch.zeros(24, 16), "bias": torch.zeros(24), "x": torch.zeros(1)},
            "Unexpected key",
        ),
    ],
)
def test_another_state_is_refused(state: dict[str, Tensor], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        Nf4Linear(plain()).load_state_dict(state)


def test_an_empty_layer_is_as_large_and_is_filled_by_a_checkpoint() -> None:
    layer = Nf4Linear(plain(7, 10))

    with torch.device("meta"):
        empty = Nf4Linear(torch.nn.Linear(10, 7))

    assert {k: (v.shape, v.dtype) for k, v in empty.named_parameters()} == {
        k: (v.shape, v.dtype) for k, v in layer.named_parameters()
    }

    assert {k: (v.shape, v.dtype, v.is_meta) for k, v in empty.state_dict().items()} == {
        k: (v.shape, v.dtype, True) for k, v in layer.state_dict().items()
    }

    empty.to_empty(device="cpu").load_state_dict(layer.state_dict())

    assert empty.packed.equal(layer.packed)
    assert empty.absmax.equal(layer.absmax)


def test_half_a_byte_is_a_weight() -> None:
    layer = Nf4Linear(plain(64, 128))

    weight_bytes = layer.packed.nbytes + layer.absmax.nbytes

    assert weight_bytes == 64 * 128 * (0.5 + 4 / 64)

    model = torch.nn.Sequential(layer, torch.nn.Linear(64, 3))

    assert num_weights(model, model.parameters()) == 64 * 128 + 64 + 3 * 64 + 3


def test_a_copy_is_the_same() -> None:
    layer = Nf4Linear(plain())

    inputs = torch.randn(2, 16)

    assert copy.deepcopy(layer)(inputs).equal(layer(inputs))
