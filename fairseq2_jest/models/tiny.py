"""An NLLB architecture small enough to be trained in a minute on a CPU."""

from __future__ import annotations

from fairseq2.models.nllb import NllbConfig
from fairseq2.runtime.config_registry import ConfigRegistrar
from fairseq2.runtime.dependency import DependencyContainer

from fairseq2_jest.models.builtin_tokenizer import BUILTIN_VOCAB_SIZE


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
