"""Tiny random models of every family that has default targets, and something to put into them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import torch
from fairseq2.models.llama import LLaMAConfig, create_llama_model
from fairseq2.models.mistral import MistralConfig, create_mistral_model
from fairseq2.models.nllb import NllbConfig, create_nllb_model
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn import Module

from fairseq2_jest.models.mbart import MBartConfig, create_mbart_model
from tests.hugging_face import LANGUAGE_MODEL_SIZE

VOCAB: Final = 50

SIZE: dict[str, Any] = {"model_dim": 16, "max_seq_len": 32, "vocab_size": VOCAB}

SEQ2SEQ: dict[str, Any] = SIZE | {
    "num_encoder_layers": 1,
    "num_decoder_layers": 2,
    "num_encoder_attn_heads": 2,
    "num_decoder_attn_heads": 2,
    "dropout_p": 0.0,
}


def _nllb() -> Module:
    return create_nllb_model(NllbConfig(**SEQ2SEQ, ffn_inner_dim=24))


def _mbart() -> Module:
    return create_mbart_model(
        MBartConfig(**SEQ2SEQ, encoder_ffn_inner_dim=24, decoder_ffn_inner_dim=24)
    )


def _llama() -> Module:
    return create_llama_model(
        LLaMAConfig(
            **SIZE,
            num_layers=2,
            num_attn_heads=4,
            num_key_value_heads=2,
            ffn_inner_dim=24,
            ffn_inner_dim_multiple_of=8,
        )
    )


def _mistral() -> Module:
    return create_mistral_model(
        MistralConfig(
            **SIZE, num_layers=2, num_attn_heads=4, num_key_value_heads=2, ffn_inner_dim=24
        )
    )


def _hugging_face() -> Module:
    import transformers

    config = transformers.MistralConfig(
        vocab_size=VOCAB,
        **LANGUAGE_MODEL_SIZE,
        tie_word_embeddings=True,
    )

    model: Module = transformers.MistralForCausalLM(config)

    return model


_BUILDERS: dict[str, tuple[Callable[[], Module], int]] = {
    # One encoder layer of 4 + 2 linear layers, two decoder layers of 8 + 2.
    "nllb": (_nllb, 6 + 2 * 10),
    "mbart": (_mbart, 6 + 2 * 10),
    # Two layers of 4 + 3.
    "llama": (_llama, 14),
    "mistral": (_mistral, 14),
    "hg": (_hugging_face, 14),
}

FAMILIES: Final = tuple(_BUILDERS)

NUM_TARGETS: Final = {family: num for family, (_, num) in _BUILDERS.items()}


def build(family: str, *, seed: int = 0) -> Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)

        return _BUILDERS[family][0]()


def logits(family: str, model: Module, *, seed: int = 0) -> Tensor:
    """What a model makes of random sequences."""
    generator = torch.Generator().manual_seed(seed)

    source, target = (
        torch.randint(4, VOCAB, (3, length), generator=generator) for length in (7, 5)
    )

    source_layout, target_layout = BatchLayout.of(source), BatchLayout.of(target)

    if family == "hg":
        output: Tensor = model(input_ids=target).logits
    elif family in ("llama", "mistral"):
        output = model(target, target_layout)
    else:
        output = model(source, source_layout, target, target_layout)

    return output


def disturb(model: Module, *, seed: int = 0) -> None:
    """Stands in for training: moves what is trained, away from a beginning that has no effect."""
    generator = torch.Generator().manual_seed(seed)

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
