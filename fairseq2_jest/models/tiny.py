"""An NLLB architecture small enough to be trained in a minute on a CPU."""

from __future__ import annotations

from typing import Final

from fairseq2.models.nllb import NllbConfig
from fairseq2.runtime.config_registry import ConfigRegistrar
from fairseq2.runtime.dependency import DependencyContainer

BUILTIN_VOCAB_SIZE: Final = 2_000
"""The vocabulary of the built-in corpus's tokenizer, special tokens included."""


def register_tiny_models(container: DependencyContainer) -> None:
    """Registers ``tiny_builtin`` of the family ``nllb``, for the built-in corpus's tokenizer."""
    arch = ConfigRegistrar(container, NllbConfig)

    @arch("tiny_builtin")
    def tiny_builtin() -> NllbConfig:
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
