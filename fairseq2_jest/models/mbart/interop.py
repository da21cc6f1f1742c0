"""mBART's weights and config from and to those of Hugging Face and fairseq 1."""

from __future__ import annotations

from typing import Final, cast, final

import torch
from fairseq2.models.hg import HuggingFaceConfig, HuggingFaceConverter
from fairseq2.utils.config import cast_config_type
from torch import Tensor
from torch.nn.modules.utils import consume_prefix_in_state_dict_if_present
from typing_extensions import override

from fairseq2_jest.models.hugging_face.keys import (
    is_fairseq2,
    to_fairseq2_keys,
    to_hugging_face_keys,
)
from fairseq2_jest.models.mbart.config import MBartConfig

_POSITIONS: Final = (
    "encoder_frontend.pos_encoder.weight",
    "decoder_frontend.pos_encoder.weight",
)

# Where Hugging Face and fairseq 1 start to count positions; what comes before is for padding.
_OFFSET: Final = 2

_BIAS: Final = "final_proj.bias"


def convert_mbart_state_dict(
    state_dict: dict[str, object], config: MBartConfig
) -> dict[str, object]:
    """Converts the weights of a Hugging Face or fairseq 1 model; those of fairseq2 are kept.

    The vocabulary keeps its order: the tokenizer of the checkpoint is the one that goes with it.

    :raises ModelError: The weights are not those of an mBART model.
    """
    if isinstance(inner := state_dict.get("model"), dict):  # fairseq 1
        state_dict = inner

    consume_prefix_in_state_dict_if_present(state_dict, prefix="module.")

    if is_fairseq2(state_dict):
        return state_dict

    state_dict = to_fairseq2_keys(state_dict)

    for side in ("encoder", "decoder"):
        state_dict.pop(f"{side}.version", None)

    for key in _POSITIONS:
        if isinstance(weight := state_dict.get(key), Tensor):
            state_dict[key] = torch.cat([torch.zeros_like(weight[:1]), weight[_OFFSET:]])

    bias = state_dict.pop("final_logits_bias", None)

    if isinstance(bias, Tensor):
        state_dict[_BIAS] = bias.flatten()
    else:
        table = cast(Tensor, state_dict["final_proj.weight"])

        state_dict[_BIAS] = table.new_zeros(table.size(0))

    return state_dict


@final
class MBartConverter(HuggingFaceConverter):
    """Converts to ``MBartForConditionalGeneration``."""

    @override
    def to_hg_config(self, config: object) -> HuggingFaceConfig:
        config = cast_config_type(config, MBartConfig)

        data: dict[str, object] = {
            "activation_dropout": config.ffn_inner_dropout_p,
            "activation_function": config.activation,
            "attention_dropout": config.attn_dropout_p,
            "d_model": config.model_dim,
            "decoder_attention_heads": config.num_decoder_attn_heads,
            "decoder_ffn_dim": config.decoder_ffn_inner_dim,
            "decoder_layers": config.num_decoder_layers,
            "dropout": config.dropout_p,
            "encoder_attention_heads": config.num_encoder_attn_heads,
            "encoder_ffn_dim": config.encoder_ffn_inner_dim,
            "encoder_layers": config.num_encoder_layers,
            "init_std": config.init_std,
            "max_position_embeddings": config.max_seq_len,
            "num_hidden_layers": config.num_encoder_layers,
            "pad_token_id": config.pad_idx,
            "scale_embedding": config.scale_embedding,
            "tie_word_embeddings": True,
            "vocab_size": config.vocab_size,
        }

        return HuggingFaceConfig(data, kls_name="MBartConfig", arch="MBartForConditionalGeneration")

    @override
    def to_hg_state_dict(self, state_dict: dict[str, object], config: object) -> dict[str, object]:
        cast_config_type(config, MBartConfig)

        weights = dict(state_dict)

        bias = cast(Tensor, weights.pop(_BIAS))

        for key in _POSITIONS:
            weight = cast(Tensor, weights[key])

            weights[key] = torch.cat([weight.new_zeros(_OFFSET, weight.size(1)), weight[1:]])

        return to_hugging_face_keys(weights) | {"final_logits_bias": bias.unsqueeze(0)}
