"""The configuration of mBART, and its published architectures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from fairseq2.runtime.config_registry import ConfigRegistrar
from fairseq2.runtime.dependency import DependencyContainer

MBART_FAMILY: Final = "mbart"


@dataclass(kw_only=True)
class MBartConfig:
    """Holds the configuration of an mBART model; by default that of mbart-large-50."""

    model_dim: int = 1024
    """The dimensionality of the model."""

    max_seq_len: int = 1024
    """The maximum sequence length."""

    vocab_size: int = 250_054
    """The size of the vocabulary."""

    pad_idx: int = 1
    """The index of the PAD symbol in the vocabulary."""

    num_encoder_layers: int = 12
    """The number of encoder layers."""

    num_decoder_layers: int = 12
    """The number of decoder layers."""

    num_encoder_attn_heads: int = 16
    """The number of attention heads in encoder layers."""

    num_decoder_attn_heads: int = 16
    """The number of attention heads in decoder layers."""

    encoder_ffn_inner_dim: int = 1024 * 4
    """The dimensionality of inner projection layers in the encoder's feed-forward networks."""

    decoder_ffn_inner_dim: int = 1024 * 4
    """The dimensionality of inner projection layers in the decoder's feed-forward networks."""

    activation: Literal["gelu", "relu"] = "gelu"
    """The activation of the feed-forward networks."""

    scale_embedding: bool = True
    """Whether embeddings are scaled by the square root of ``model_dim``."""

    dropout_p: float = 0.1
    """The dropout probability on outputs of Transformer layers and on embeddings."""

    attn_dropout_p: float = 0.0
    """The dropout probability on attention weights."""

    ffn_inner_dropout_p: float = 0.0
    """The dropout probability on outputs of inner projection layers."""

    init_std: float = 0.02
    """The standard deviation of the initial embeddings."""


def register_mbart_configs(container: DependencyContainer) -> None:
    """Registers ``large_50``, ``large_cc25`` and ``tiny``."""
    arch = ConfigRegistrar(container, MBartConfig)

    @arch("large_50")
    def large_50() -> MBartConfig:
        return MBartConfig()

    @arch("large_cc25")
    def large_cc25() -> MBartConfig:
        return MBartConfig(vocab_size=250_027)

    @arch("tiny")
    def tiny() -> MBartConfig:
        return MBartConfig(
            model_dim=64,
            max_seq_len=256,
            vocab_size=2_000,
            num_encoder_layers=2,
            num_decoder_layers=2,
            num_encoder_attn_heads=4,
            num_decoder_attn_heads=4,
            encoder_ffn_inner_dim=256,
            decoder_ffn_inner_dim=256,
        )
