"""Language models: only the response is predicted, and only it makes up the curvature."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.factors import FactorSums
from fairseq2_jest.influence.layers import LayersConfig, find_layers
from fairseq2_jest.influence.model import PairModel
from fairseq2_jest.models.causal_lm import CausalParts
from fairseq2_jest.models.errors import ModelError
from tests.unit.influence.dense import gradient_pass, losses_alone, trained
from tests.unit.language_models import language_model, language_tokenizer
from tests.unit.tiny import random_pairs, tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")

LANGUAGE_MODELS = ("llama", "mistral", "hg")


@pytest.mark.parametrize("kind", LANGUAGE_MODELS)
def test_the_prompt_is_neither_predicted_nor_counted(kind: str) -> None:
    pairs = random_pairs(9)

    (batch,) = gradient_pass(trained(kind), max_num_tokens=10_000).run(
        pairs, range(9), reduction="sum"
    )

    # The end is predicted, too.
    responses = [len(pairs.target[i]) + 1 for i in batch.places]

    assert batch.num_labels.tolist() == responses

    for tokens in batch.layers.values():
        present, counted = tokens.positions.present, tokens.positions.counted

        assert counted.sum(dim=1).tolist() == responses

        # What begins a text and all but the last token of the prompt, which predicts the first one.
        prompts = (present & ~counted).sum(dim=1).tolist()

        assert prompts == [len(pairs.source[i]) for i in batch.places]


@pytest.mark.parametrize("kind", LANGUAGE_MODELS)
def test_the_factors_are_those_of_the_response_alone(kind: str) -> None:
    learner, pairs = trained(kind), random_pairs(4)

    run = gradient_pass(learner, max_num_tokens=10_000)

    sums = FactorSums.zeros(run.layers, CPU, torch.float32)

    for batch in run.run(pairs, range(4), reduction="sum"):
        sums.add(batch.layers)

    # Each pair by itself, its inputs as a hook sees them.
    for layer in run.layers:
        expected = torch.zeros(layer.input_dim, layer.input_dim)

        for index in range(4):
            seen: list[torch.Tensor] = []

            handle = layer.module.register_forward_hook(
                lambda _, inputs, __, seen=seen: seen.append(inputs[0][0])
            )

            with torch.no_grad():
                losses_alone(learner, pairs, index)

            handle.remove()

            response = seen[0][-(len(pairs.target[index]) + 1) :]

            expected += response.T @ response

        torch.testing.assert_close(
            sums.tensors[f"{layer.name}/inputs"], expected, rtol=1e-4, atol=1e-5
        )


def test_the_default_pattern_finds_the_ffns_of_each_kind() -> None:
    for kind, first in (
        ("llama", "decoder.layers.0.ffn.gate_proj"),
        ("hg", "_wrapped_hf_model.model.layers.0.mlp.gate_proj"),
    ):
        layers = find_layers(trained(kind), LayersConfig(stride=1))

        assert layers[0].name == first
        assert len(layers) == 2 * 3


def test_the_last_tokens_of_a_prompt_matter_and_padding_does_not() -> None:
    learner, pairs = language_model("llama"), random_pairs(6)

    parts = gradient_pass(learner)._model

    together = parts.predict(pairs)

    for index in range(6):
        alone = parts.predict(pairs.take([index]))

        torch.testing.assert_close(
            together.hidden[together.pairs == index], alone.hidden, rtol=1e-4, atol=1e-5
        )


def test_what_suits_no_language_model_is_told() -> None:
    with pytest.raises(EmbeddingError, match="it makes no prompts"):
        PairModel(language_model("llama"), tokenizer(), device=CPU, max_num_tokens=9)

    with pytest.raises(InfluenceError, match="The model is a Linear, which is neither"):
        PairModel(nn.Linear(2, 2), language_tokenizer(), device=CPU, max_num_tokens=9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_logits_that_are_changed_afterwards_are_refused(dtype: torch.dtype) -> None:
    from fairseq2.models.hg import HgCausalLMAdapter
    from transformers import CohereConfig, CohereForCausalLM

    config = CohereConfig(
        hidden_size=16,
        intermediate_size=24,
        vocab_size=40,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        logit_scale=3.0,
    )

    inner: Any = CohereForCausalLM(config)

    inner.to(dtype)

    with torch.no_grad():
        inner.lm_head.weight.normal_()

    with pytest.raises(ModelError, match="changes its logits after its last layer"):
        CausalParts(HgCausalLMAdapter(inner, max_seq_len=32))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_may_be_of_another_type(dtype: torch.dtype) -> None:
    from fairseq2.models.hg import HgCausalLMAdapter
    from transformers import GPTJConfig, GPTJForCausalLM

    config = GPTJConfig(vocab_size=40, n_embd=16, n_layer=1, n_head=2, rotary_dim=4)

    inner: Any = GPTJForCausalLM(config)

    inner.to(dtype)

    parts = CausalParts(HgCausalLMAdapter(inner, max_seq_len=32))

    assert inner(torch.arange(3)[None]).logits.dtype == torch.float32
    assert parts.head is inner.lm_head
