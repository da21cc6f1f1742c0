"""Building mBART out of fairseq2's Transformer parts.

What sets it apart from NLLB: learned positions, a layer norm behind the embeddings, GELU, and a
bias of the logits that does not train.
"""

from __future__ import annotations

import math
from typing import Any, final

import torch
from fairseq2.models.transformer import (
    FeedForwardNetwork,
    MultiheadAttention,
    StandardFeedForwardNetwork,
    StandardMultiheadAttention,
    StandardTransformerDecoder,
    StandardTransformerDecoderLayer,
    StandardTransformerEncoder,
    StandardTransformerEncoderLayer,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
    TransformerFrontend,
    TransformerModel,
    TransformerNormOrder,
    create_default_sdpa,
)
from fairseq2.models.transformer.attention_bias import (
    AttentionBias,
    CausalAttentionBias,
    IdentityBias,
)
from fairseq2.nn import (
    BatchLayout,
    Embedding,
    IncrementalStateBag,
    LayerNorm,
    LearnedPositionEncoder,
    PositionEncoder,
    Projection,
    StandardEmbedding,
    StandardLayerNorm,
)
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import GELU, Dropout, Parameter, ReLU
from torch.nn.functional import linear
from torch.nn.init import normal_
from typing_extensions import override

from fairseq2_jest.models.mbart.config import MBartConfig


def create_mbart_model(config: MBartConfig) -> TransformerModel:
    """Creates a model with fresh weights."""
    return MBartFactory(config).create_model()


def compile_mbart(model: TransformerModel, *args: Any, **kwargs: Any) -> None:
    """Compiles a model layer by layer, as fairseq2 compiles its language models."""
    for stack in (model.encoder, model.decoder):
        for layer in stack.layers:
            layer.compile(*args, **kwargs)


class MBartFactory:
    """Creates the parts of a model; a subclass may replace any."""

    def __init__(self, config: MBartConfig) -> None:
        self._config = config

    def create_model(self) -> TransformerModel:
        config = self._config

        embed = self.create_embedding()

        return TransformerModel(
            config.model_dim,
            self.create_frontend(embed),
            self.create_encoder(),
            self.create_frontend(embed),
            self.create_decoder(),
            self.create_final_projection(embed),
            config.pad_idx,
            config.max_seq_len,
            config.max_seq_len,
        )

    def create_embedding(self) -> StandardEmbedding:
        config = self._config

        def init(embed: StandardEmbedding) -> None:
            normal_(embed.weight, std=config.init_std)

            with torch.no_grad():
                embed.weight[config.pad_idx].zero_()

        return StandardEmbedding(config.vocab_size, config.model_dim, config.pad_idx, init_fn=init)

    def create_frontend(self, embed: Embedding) -> TransformerFrontend:
        config = self._config

        return MBartFrontend(
            embed,
            LearnedPositionEncoder(config.model_dim, config.max_seq_len),
            self.create_layer_norm(),
            scale=math.sqrt(config.model_dim) if config.scale_embedding else 1.0,
            dropout_p=config.dropout_p,
        )

    def create_encoder(self) -> TransformerEncoder:
        layers = [self.create_encoder_layer() for _ in range(self._config.num_encoder_layers)]

        return StandardTransformerEncoder(layers, self.create_layer_norm())

    def create_encoder_layer(self) -> TransformerEncoderLayer:
        config = self._config

        return StandardTransformerEncoderLayer(
            self.create_attention(config.num_encoder_attn_heads, IdentityBias()),
            self.create_layer_norm(),
            self.create_ffn(config.encoder_ffn_inner_dim),
            self.create_layer_norm(),
            norm_order=TransformerNormOrder.PRE,
            dropout_p=config.dropout_p,
        )

    def create_decoder(self) -> TransformerDecoder:
        layers = [self.create_decoder_layer() for _ in range(self._config.num_decoder_layers)]

        return StandardTransformerDecoder(layers, self.create_layer_norm())

    def create_decoder_layer(self) -> TransformerDecoderLayer:
        config = self._config

        return StandardTransformerDecoderLayer(
            self.create_attention(config.num_decoder_attn_heads, CausalAttentionBias()),
            self.create_layer_norm(),
            self.create_attention(config.num_decoder_attn_heads, IdentityBias()),
            self.create_layer_norm(),
            self.create_ffn(config.decoder_ffn_inner_dim),
            self.create_layer_norm(),
            norm_order=TransformerNormOrder.PRE,
            dropout_p=config.dropout_p,
        )

    def create_attention(self, num_heads: int, bias: AttentionBias) -> MultiheadAttention:
        config = self._config

        sdpa = create_default_sdpa(bias, dropout_p=config.attn_dropout_p)

        return StandardMultiheadAttention(config.model_dim, num_heads, sdpa)

    def create_ffn(self, inner_dim: int) -> FeedForwardNetwork:
        config = self._config

        return StandardFeedForwardNetwork(
            config.model_dim,
            inner_dim,
            bias=True,
            inner_activation=GELU() if config.activation == "gelu" else ReLU(),
            inner_dropout_p=config.ffn_inner_dropout_p,
        )

    def create_layer_norm(self) -> LayerNorm:
        return StandardLayerNorm(self._config.model_dim, bias=True)

    def create_final_projection(self, embed: StandardEmbedding) -> Projection:
        return BiasedTiedProjection(embed.weight)


@final
class MBartFrontend(TransformerFrontend):
    """Embeds tokens and positions, normalises their sum, and then drops out."""

    def __init__(
        self,
        embed: Embedding,
        pos_encoder: PositionEncoder,
        layer_norm: LayerNorm,
        *,
        scale: float,
        dropout_p: float,
    ) -> None:
        super().__init__()

        self.embed = embed
        self.scale = scale
        self.pos_encoder = pos_encoder
        self.layer_norm = layer_norm
        self.dropout = Dropout(dropout_p) if dropout_p > 0.0 else None

    @override
    def forward(
        self,
        seqs: Tensor,
        seqs_layout: BatchLayout,
        *,
        state_bag: IncrementalStateBag | None = None,
    ) -> tuple[Tensor, BatchLayout]:
        seqs = self.embed(seqs) * self.scale

        seqs = self.layer_norm(self.pos_encoder(seqs, seqs_layout, state_bag=state_bag))

        if self.dropout is not None:
            seqs = self.dropout(seqs)

        return seqs, seqs_layout


@final
class BiasedTiedProjection(Projection):
    """Projects with the weight of the embeddings and a bias that is a buffer.

    The bias is what Hugging Face calls ``final_logits_bias``: it is part of a checkpoint, but
    takes part in no training.

    FSDP leaves buffers whole, but fairseq2 joins what the ranks save of each name. So the bias is
    cut as the weight is when the state is taken, and put together when it is loaded.
    """

    bias: Tensor

    def __init__(self, weight: Parameter) -> None:
        super().__init__(input_dim=weight.size(1), output_dim=weight.size(0))

        self.weight = weight

        self.register_buffer("bias", torch.zeros(weight.size(0), dtype=weight.dtype))

    def reset_parameters(self) -> None:
        # fairseq2 asks this of what it creates on the meta device and then fills.
        self.bias.zero_()

    @override
    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)

        if isinstance(self.weight, DTensor):
            mesh, placements = self.weight.device_mesh, self.weight.placements

            # Every rank has the whole: nothing is sent.
            destination[f"{prefix}bias"] = distribute_tensor(
                self.bias, mesh, placements, src_data_rank=None
            )

    @override
    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        bias = state_dict.get(f"{prefix}bias")

        if isinstance(bias, DTensor):
            state_dict[f"{prefix}bias"] = bias.full_tensor()

        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    @override
    def forward(self, x: Tensor) -> Tensor:
        # Where FSDP casts the weight to the dtype of the run, it leaves buffers as they are.
        return linear(x, self.weight, self.bias.to(self.weight.dtype))
