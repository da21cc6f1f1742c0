"""Decoder-only models as models of transformers: LLaMA, Mistral, and those that are its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, cast, final

import torch
from fairseq2.error import NotSupportedError
from fairseq2.models.hg import (
    HuggingFaceConfig,
    HuggingFaceConverter,
    HuggingFaceModelConfig,
    get_hugging_face_converter,
)
from fairseq2.models.llama import LLAMA_FAMILY, LLaMAConfig, LLaMAFactory
from fairseq2.models.mistral import MistralConfig
from fairseq2.models.transformer import GLUFeedForwardNetwork
from fairseq2.utils.config import cast_config_type
from typing_extensions import override

from fairseq2_jest.models.errors import ModelError

_WRAPPED: Final = "_wrapped_hf_model."
"""Where fairseq2 keeps a model of transformers."""


def find_converter(family: str) -> HuggingFaceConverter:
    """What makes models of this family, by its name, models of transformers.

    :raises ModelError: There is nothing.
    """
    if family == LLAMA_FAMILY:
        return LlamaConverter()

    try:
        return get_hugging_face_converter(family)
    except NotSupportedError as ex:
        raise ModelError(
            f"Models of the family {family} have no counterpart in transformers that is known "
            f"here, and are not exported."
        ) from ex


@final
class LlamaConverter(HuggingFaceConverter):
    """fairseq2's own, which takes the width of a feed-forward network for the one that LLaMA has at
    ``model_dim``, whatever ``ffn_inner_dim`` says."""

    @override
    def to_hg_config(self, config: object) -> HuggingFaceConfig:
        converted = get_hugging_face_converter(LLAMA_FAMILY).to_hg_config(config)

        with torch.device("meta"):
            ffn = LLaMAFactory(cast_config_type(config, LLaMAConfig)).create_ffn(0)

        width = cast(GLUFeedForwardNetwork, ffn).inner_proj.output_dim

        return replace(converted, data={**converted.data, "intermediate_size": width})

    @override
    def to_hg_state_dict(self, state_dict: dict[str, object], config: object) -> dict[str, object]:
        # It changes what it is given.
        return get_hugging_face_converter(LLAMA_FAMILY).to_hg_state_dict(dict(state_dict), config)


@final
class MistralConverter(HuggingFaceConverter):
    """Converts to ``MistralForCausalLM``."""

    @override
    def to_hg_config(self, config: object) -> HuggingFaceConfig:
        config = cast_config_type(config, MistralConfig)

        data: dict[str, object] = {
            "attention_dropout": 0.0,
            "head_dim": config.model_dim // config.num_attn_heads,
            "hidden_act": "silu",
            "hidden_size": config.model_dim,
            "intermediate_size": config.ffn_inner_dim,
            "max_position_embeddings": config.max_seq_len,
            "num_attention_heads": config.num_attn_heads,
            "num_hidden_layers": config.num_layers,
            "num_key_value_heads": config.num_key_value_heads,
            "pad_token_id": config.pad_idx,
            # What fairseq2 has no choice in.
            "rms_norm_eps": 1e-5,
            "rope_theta": 10_000.0,
            "sliding_window": config.attn_window_len,
            "tie_word_embeddings": False,
            "vocab_size": config.vocab_size,
        }

        return HuggingFaceConfig(data, kls_name="MistralConfig", arch="MistralForCausalLM")

    @override
    def to_hg_state_dict(self, state_dict: dict[str, object], config: object) -> dict[str, object]:
        config = cast_config_type(config, MistralConfig)

        # It has the parts of LLaMA, under the same names and in the same order.
        like = LLaMAConfig(
            model_dim=config.model_dim,
            num_layers=config.num_layers,
            num_attn_heads=config.num_attn_heads,
            num_key_value_heads=config.num_key_value_heads,
        )

        return LlamaConverter().to_hg_state_dict(state_dict, like)


@final
class WrappedConverter(HuggingFaceConverter):
    """Unwraps models of fairseq2's family ``hg``, which are transformers' own."""

    @override
    def to_hg_config(self, config: object) -> HuggingFaceConfig:
        """
        :raises ModelError: The model is none that transformers has a class for.
        """
        native = _native_config(config)

        # A config of somebody's own may hold what the class does not know.
        known = type(native)()

        # Not the values of the dictionary: configs in this one, such as MPT's, are such there, too.
        data = {key: getattr(native, key) for key in native.to_dict() if hasattr(known, key)}

        # The weights are exported as they are, whatever they were.
        for key in ("dtype", "torch_dtype", "architectures"):
            data.pop(key, None)

        return HuggingFaceConfig(data, kls_name=type(native).__name__, arch=_class_name(native))

    @override
    def to_hg_state_dict(self, state_dict: dict[str, object], config: object) -> dict[str, object]:
        """
        :raises ModelError: The model is none that transformers has a class for.
        """
        import transformers

        native = _native_config(config)

        weights = {key.removeprefix(_WRAPPED): value for key, value in state_dict.items()}

        if native.tie_word_embeddings:
            # Loaded, they are those of the input.
            for key in getattr(transformers, _class_name(native))._tied_weights_keys or ():
                weights.pop(key, None)

        return weights


def _native_config(config: object) -> Any:
    import transformers

    config = cast_config_type(config, HuggingFaceModelConfig)

    kls: Any = transformers.AutoConfig

    return kls.from_pretrained(config.hf_name)


def _class_name(native: Any) -> str:
    import transformers

    (name, *_) = native.architectures or ["of that kind"]

    if not hasattr(transformers, name):
        raise ModelError(f"transformers has no class {name}, so that the model is not exported.")

    return str(name)
