"""Decoder-only models as models of transformers: LLaMA, Mistral, Qwen, OLMo, and its own."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar, Final, cast, final

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
from fairseq2.models.olmo import OLMO_FAMILY, OLMOConfig, OLMOFactory
from fairseq2.models.qwen import QWEN_FAMILY, QwenConfig
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
    if family in _OWN:
        return _OWN[family]()

    try:
        return get_hugging_face_converter(family)
    except NotSupportedError as ex:
        raise ModelError(
            f"Models of the family {family} have no counterpart in transformers that is known "
            f"here, and are not exported."
        ) from ex


class _CorrectedConverter(HuggingFaceConverter):
    """fairseq2's own, with another config."""

    _family: ClassVar[str]

    def _converter(self) -> HuggingFaceConverter:
        return get_hugging_face_converter(self._family)

    @override
    def to_hg_state_dict(self, state_dict: dict[str, object], config: object) -> dict[str, object]:
        # It changes what it is given.
        return self._converter().to_hg_state_dict(dict(state_dict), config)


@final
class LlamaConverter(_CorrectedConverter):
    """fairseq2's own, which takes the width of a feed-forward network for the one that LLaMA has at
    ``model_dim``, whatever ``ffn_inner_dim`` says."""

    _family = LLAMA_FAMILY

    @override
    def to_hg_config(self, config: object) -> HuggingFaceConfig:
        converted = self._converter().to_hg_config(config)

        with torch.device("meta"):
            ffn = LLaMAFactory(cast_config_type(config, LLaMAConfig)).create_ffn(0)

        width = cast(GLUFeedForwardNetwork, ffn).inner_proj.output_dim

        return replace(converted, data={**converted.data, "intermediate_size": width})


@final
class QwenConverter(_CorrectedConverter):
    """fairseq2's own, which leaves to transformers what depends on the number of layers and, where
    ``head_dim`` is ``None``, the dimension of a head."""

    _family = QWEN_FAMILY

    @override
    def to_hg_config(self, config: object) -> HuggingFaceConfig:
        """
        :raises ModelError: transformers has no such model.
        """
        converted = self._converter().to_hg_config(config)

        config = cast_config_type(config, QwenConfig)

        usual = config.model_dim // config.num_attn_heads

        data = {**converted.data, "layer_types": ["full_attention"] * config.num_layers}

        if converted.kls_name == "Qwen3Config":
            data["head_dim"] = config.head_dim or usual
        elif config.head_dim not in (None, usual):
            raise ModelError(
                f"transformers has no Qwen2 whose heads are of another dimension than {usual}, and "
                f"this model's are of {config.head_dim}: it is not exported."
            )

        return replace(converted, data=data)


@final
class OlmoConverter(_CorrectedConverter):
    """fairseq2's own, which says how positions are turned in a way that transformers 4 does not
    read, and leaves to it the kinds of the layers."""

    _family = OLMO_FAMILY

    @override
    def to_hg_config(self, config: object) -> HuggingFaceConfig:
        """
        :raises ModelError: transformers has no such model.
        """
        config = deepcopy(cast_config_type(config, OLMOConfig))

        if config.sliding_window is None:
            # fairseq2 does not look at it then.
            config.yarn_scale_config = None

        with torch.device("meta"):
            # Which sets the kinds of the layers where they are not set.
            OLMOFactory(config)

        converted = self._converter().to_hg_config(config)

        scaling = None

        if (yarn := config.yarn_scale_config) is not None:
            if "sliding_attention" in (config.layer_types or ()):
                raise ModelError(
                    "An OLMo whose positions are scaled by YaRN is not exported: fairseq2 scales "
                    "those of all its layers, and transformers only those of layers without a "
                    "window."
                )

            scaling = {
                "rope_type": "yarn",
                "factor": yarn.scale_factor,
                "original_max_position_embeddings": yarn.original_max_seq_len,
                "beta_fast": yarn.beta_fast,
                "beta_slow": yarn.beta_slow,
                "mscale": yarn.mscale,
                "mscale_all_dim": yarn.mscale_all_dim,
                "truncate": yarn.truncate,
            }

        data = {**converted.data, "rope_theta": config.rope_theta, "rope_scaling": scaling}

        return replace(converted, data=data)


_OWN: Final[dict[str, type[HuggingFaceConverter]]] = {
    LLAMA_FAMILY: LlamaConverter,
    OLMO_FAMILY: OlmoConverter,
    QWEN_FAMILY: QwenConverter,
}
"""In the place of those that fairseq2 has registered, and takes for its own exports."""


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
