from __future__ import annotations

from typing import Any

import pytest
import torch
from fairseq2.device import CPU
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from fairseq2.runtime.config_registry import get_config
from fairseq2.runtime.dependency import DependencyContainer
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from fairseq2_jest.adapters.lora import LoraAdapter
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.models.tiny import register_tiny_models
from fairseq2_jest.training.flops import FlopsModel, predict_selection_cost

NUM_PAIRS = 3


@pytest.fixture(scope="module")
def config() -> NllbConfig:
    container = DependencyContainer()

    register_tiny_models(container)

    return get_config(container, NllbConfig, "tiny_builtin")


@pytest.fixture(scope="module")
def model(config: NllbConfig) -> TransformerModel:
    return create_nllb_model(config).eval().to(CPU)


def tokens(length: int) -> Tensor:
    return torch.randint(4, 100, (NUM_PAIRS, length), generator=torch.Generator().manual_seed(0))


def attention_scores(config: NllbConfig, source_len: int, target_len: int) -> float:
    """A forward pass's products of queries and keys, and of weights and values."""
    lengths = (
        config.num_encoder_layers * source_len * source_len
        + config.num_decoder_layers * target_len * target_len
        + config.num_decoder_layers * target_len * source_len
    )

    return 4.0 * NUM_PAIRS * config.model_dim * lengths


def counted(model: TransformerModel, source_len: int, target_len: int, *, train: bool) -> int:
    source, target = tokens(source_len), tokens(target_len)

    # Of the kinds of attention, only this one consists of operations that are counted.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        loss = model(source, BatchLayout.of(source), target, BatchLayout.of(target), targets=target)

        if train:
            torch.autograd.backward(loss)

    model.zero_grad()

    total: int = counter.get_total_flops()

    return total


@pytest.mark.parametrize("length", [8, 25, 60])
def test_training_is_what_torch_counts_but_for_attention_scores(
    model: TransformerModel, config: NllbConfig, length: int
) -> None:
    flops = FlopsModel.of(model).training(NUM_PAIRS * length, NUM_PAIRS * length)

    products = counted(model, length, length, train=True) - 3.0 * attention_scores(
        config, length, length
    )

    # Biases and layer norms are counted as if they were matrices: 1 % of this model's weights.
    assert products < flops < 1.01 * products


def test_frozen_weights_need_no_gradient(config: NllbConfig) -> None:
    model = create_nllb_model(config).eval()

    LoraAdapter(LoraConfig(rank=2, dropout=0.0)).attach(model, family="nllb", seed=0)

    flops = FlopsModel.of(model).training(NUM_PAIRS * 25, NUM_PAIRS * 25)

    # The gradients that go into the embeddings are not computed, nor those of what comes first.
    first = 3 * config.model_dim**2 * 2.0 * NUM_PAIRS * 25 * 2

    products = counted(model, 25, 25, train=True) - 3.0 * attention_scores(config, 25, 25)

    assert products < flops < 1.03 * (products + first)
    assert flops < 0.7 * FlopsModel.of(create_nllb_model(config)).training(75, 75)


def test_weights_of_4_bits_count_as_others_do(config: NllbConfig) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: make setup")

    flops = []

    variants: list[dict[str, Any]] = [{}, {"base_dtype": "nf4"}]

    for options in variants:
        model = create_nllb_model(config)

        LoraAdapter(LoraConfig(**options)).attach(model, family="nllb", seed=0)

        flops.append(FlopsModel.of(model))

    assert flops[0] == flops[1]


def test_attention_scores_are_a_few_per_cent_for_sentences(
    model: TransformerModel, config: NllbConfig
) -> None:
    flops = FlopsModel.of(model).training(NUM_PAIRS * 30, NUM_PAIRS * 30)

    assert flops == pytest.approx(counted(model, 30, 30, train=True), rel=0.05)


def test_unequal_lengths_are_off_by_no_more_than_the_decoders_keys_and_values(
    model: TransformerModel, config: NllbConfig
) -> None:
    source_len, target_len = 40, 10

    flops = FlopsModel.of(model).training(NUM_PAIRS * source_len, NUM_PAIRS * target_len)

    products = counted(model, source_len, target_len, train=True) - 3.0 * attention_scores(
        config, source_len, target_len
    )

    # They multiply source tokens, but count with the decoder, which is the target's.
    weights = 2 * config.num_decoder_layers * config.model_dim**2
    shifted = 6.0 * weights * NUM_PAIRS * (source_len - target_len)

    assert products < flops + shifted < 1.01 * products


def test_embedding_is_a_forward_pass_of_the_encoder(
    model: TransformerModel, config: NllbConfig
) -> None:
    source = tokens(25)

    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH), torch.no_grad():
        hidden, layout = model.encoder_frontend(source, BatchLayout.of(source))

        model.encoder(hidden, layout)

    scores = 4.0 * NUM_PAIRS * config.model_dim * config.num_encoder_layers * 25 * 25

    products = counter.get_total_flops() - scores

    assert products < FlopsModel.of(model).forward(NUM_PAIRS * 25, 0) < 1.01 * products


def test_nothing_costs_nothing(model: TransformerModel) -> None:
    flops = FlopsModel.of(model)

    assert flops.training(0, 0) == 0.0 == flops.forward(0, 0)
    # A backward pass costs two forward passes.
    assert flops.training(7, 0) == 3.0 * flops.forward(7, 0)


def test_the_cost_of_the_learners_view_is_that_of_its_forward_passes() -> None:
    flops = FlopsModel(encoder=10, decoder=20)

    # Both sides of ten candidates for each pair trained on, forward and backward.
    assert predict_selection_cost(flops, (20.0, 0.0)) == pytest.approx(
        flops.forward(20, 0) / flops.training(1, 1)
    )
    assert predict_selection_cost(flops, (10.0, 10.0)) == pytest.approx(10 / 3)
    assert predict_selection_cost(flops, (0.0, 0.0)) == 0.0
