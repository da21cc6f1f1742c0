"""fairseq2's LLaMA and Mistral say what transformers' say with the same weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fairseq2.models.hg import get_hugging_face_converter
from fairseq2.models.llama import LLaMAConfig
from fairseq2.nn import BatchLayout

from fairseq2_jest.models.causal_lm import CausalParts
from tests.hugging_face import library
from tests.unit.language_models import language_model


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@torch.no_grad()
def test_logits_are_those_of_transformers(kind: str) -> None:
    import transformers

    library()

    model = language_model(kind).eval()

    for parameter in model.parameters():
        parameter.add_(0.2 * torch.randn(parameter.shape))

    vocab_size = CausalParts(model).vocab_size

    # The two families have the same parts; fairseq2 exports only one.
    state: Any = get_hugging_face_converter("llama").to_hg_state_dict(
        dict(model.state_dict()),
        LLaMAConfig(
            model_dim=16,
            vocab_size=vocab_size,
            num_layers=2,
            num_attn_heads=2,
            num_key_value_heads=1,
        ),
    )

    name = {"llama": "Llama", "mistral": "Mistral"}[kind]

    config = getattr(transformers, f"{name}Config")(
        hidden_size=16,
        intermediate_size=24,
        vocab_size=vocab_size,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        rms_norm_eps=1e-5,
        rope_theta=10_000.0,
    )

    theirs = getattr(transformers, f"{name}ForCausalLM")(config).eval()

    theirs.load_state_dict(state)

    seqs = torch.randint(0, vocab_size, (3, 40), generator=torch.Generator().manual_seed(0))

    expected = theirs(input_ids=seqs).logits

    assert float(expected.std()) > 0.1

    layout = BatchLayout.of(seqs)

    torch.testing.assert_close(model(seqs, layout), expected, rtol=1e-4, atol=1e-4)

    # What training and the views of the learner take apart.
    parts = CausalParts(model)

    torch.testing.assert_close(
        parts.head(parts.hidden(seqs, layout)), expected, rtol=1e-4, atol=1e-4
    )
