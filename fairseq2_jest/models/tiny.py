"""Architectures small enough to be trained in a minute on a CPU."""

from __future__ import annotations

from typing import Final

from fairseq2.models.llama import LLaMAConfig
from fairseq2.models.mistral import MistralConfig
from fairseq2.models.nllb import NllbConfig
from fairseq2.runtime.config_registry import ConfigRegistrar
from fairseq2.runtime.dependency import DependencyContainer

BUILTIN_VOCAB_SIZE: Final = 2_000
"""The vocabulary of the built-in corpus's tokenizer, special tokens included."""

TINY_ARCH: Final = "tiny_builtin"


def register_tiny_models(container: DependencyContainer) -> None:
    """Registers ``tiny_builtin`` of the families ``nllb``, ``llama`` and ``mistral``, for the
    built-in corpus's tokenizers."""
    nllb, llama, mistral = (
        ConfigRegistrar(container, config) for config in (NllbConfig, LLaMAConfig, MistralConfig)
    )

    @nllb(TINY_ARCH)
    def tiny_nllb() -> NllbConfig:
        return NllbConfig(
            model_dim=128,
            max_seq_len=256,
            vocab_size=BUILTIN_VOCAB_SIZE,
            num_encoder_layers=2,
            num_decoder_layers=2,
            num_encoder_attn_heads=4,
            num_decoder_attn_heads=4,
            ffn_inner_dim=512,
            dropout_p=0.1,
        )

    @llama(TINY_ARCH)
    def tiny_llama() -> LLaMAConfig:
        return LLaMAConfig(
            model_dim=128,
            max_seq_len=512,
            vocab_size=BUILTIN_VOCAB_SIZE,
            num_layers=3,
            num_attn_heads=4,
            num_key_value_heads=2,
            ffn_inner_dim=384,
            ffn_inner_dim_scale=1.0,
            ffn_inner_dim_multiple_of=1,
        )

    @mistral(TINY_ARCH)
    def tiny_mistral() -> MistralConfig:
        return MistralConfig(
            model_dim=128,
            max_seq_len=512,
            vocab_size=BUILTIN_VOCAB_SIZE,
            attn_window_len=512,
            num_layers=3,
            num_attn_heads=4,
            num_key_value_heads=2,
            ffn_inner_dim=384,
        )
