"""What a Hugging Face ``config.json`` means in fairseq2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fairseq2.models.nllb import NLLB_FAMILY

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.json_files import read_json
from fairseq2_jest.models.hugging_face.nllb import NLLB_TOKENIZER_FAMILY, PAD_IDX
from fairseq2_jest.models.mbart.config import MBART_FAMILY

CONFIG_FILE: Final = "config.json"


@dataclass(frozen=True, kw_only=True)
class ModelDescription:
    """A model of Hugging Face in fairseq2's terms."""

    family: str
    """The family of the model."""

    config: Mapping[str, object]
    """Its config, by the fields of the family's config."""

    tokenizer_family: str
    """The family of its tokenizer."""


def describe_model(folder: Path) -> ModelDescription:
    """Reads the config of the mBART or NLLB model in ``folder``.

    :raises ModelError: It is neither, or has a part that these families lack.
    """
    file = folder / CONFIG_FILE

    config = read_json(file)

    kind = config.get("model_type")

    if kind not in _READERS:
        raise ModelError(
            f"{file} is of a model of the type {kind!r}, but only mbart and m2m_100 (NLLB) are "
            f"supported: name another."
        )

    if not config.get("tie_word_embeddings", True):
        raise ModelError(f"tie_word_embeddings of {file} is false, which is not supported.")

    return _READERS[kind](file, config)


def _describe_mbart(file: Path, config: Mapping[str, Any]) -> ModelDescription:
    from transformers import MBartConfig

    native = _native(MBartConfig, file, config)

    if native.activation_function not in ("gelu", "relu"):
        raise _unsupported(file, "activation_function", native.activation_function)

    return ModelDescription(
        family=MBART_FAMILY,
        config=_common(native)
        | {
            "encoder_ffn_inner_dim": native.encoder_ffn_dim,
            "decoder_ffn_inner_dim": native.decoder_ffn_dim,
            "activation": native.activation_function,
            "scale_embedding": bool(native.scale_embedding),
            "attn_dropout_p": float(native.attention_dropout),
            "ffn_inner_dropout_p": float(native.activation_dropout),
            "init_std": float(native.init_std),
        },
        tokenizer_family=MBART_FAMILY,
    )


def _describe_nllb(file: Path, config: Mapping[str, Any]) -> ModelDescription:
    from transformers import M2M100Config

    native = _native(M2M100Config, file, config)

    # fairseq2's NLLB has no choice in these.
    fixed = {
        "activation_function": "relu",
        "scale_embedding": True,
        "pad_token_id": PAD_IDX,
        "decoder_ffn_dim": native.encoder_ffn_dim,
    }

    for field, value in fixed.items():
        if getattr(native, field) != value:
            raise _unsupported(file, field, getattr(native, field))

    return ModelDescription(
        family=NLLB_FAMILY,
        config=_common(native) | {"ffn_inner_dim": native.encoder_ffn_dim},
        tokenizer_family=NLLB_TOKENIZER_FAMILY,
    )


_READERS: Final = {"mbart": _describe_mbart, "m2m_100": _describe_nllb}


def _native(kls: type[Any], file: Path, config: Mapping[str, Any]) -> Any:
    try:
        # transformers' own defaults for what the file leaves out.
        return kls.from_dict(dict(config))
    except Exception as ex:
        raise ModelError(f"{file} is not a valid config ({ex}): get the file again.") from ex


def _common(native: Any) -> dict[str, object]:
    return {
        "model_dim": native.d_model,
        "max_seq_len": native.max_position_embeddings,
        "vocab_size": native.vocab_size,
        "pad_idx": native.pad_token_id,
        "num_encoder_layers": native.encoder_layers,
        "num_decoder_layers": native.decoder_layers,
        "num_encoder_attn_heads": native.encoder_attention_heads,
        "num_decoder_attn_heads": native.decoder_attention_heads,
        "dropout_p": float(native.dropout),
    }


def _unsupported(file: Path, field: str, value: object) -> ModelError:
    return ModelError(f"{field} of {file} is {value}, which is not supported for this model.")
