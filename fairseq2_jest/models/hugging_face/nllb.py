"""NLLB in the layout of Hugging Face's M2M100, as a model of fairseq2's family ``nllb``.

A model from Hugging Face keeps the order of its vocabulary (``<s> <pad> </s> <unk>`` and so on);
one from fairseq2's own cards has fairseq2's (``<pad> <unk> <s> </s>``). The index of padding tells
them apart, and each goes with its own tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast, final

from fairseq2.models.hg import HuggingFaceConfig, HuggingFaceConverter
from fairseq2.models.nllb import NllbConfig
from fairseq2.utils.config import cast_config_type
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.keys import (
    EMBEDDINGS,
    to_fairseq2_keys,
    to_hugging_face_keys,
)
from fairseq2_jest.models.hugging_face.languages import LanguageCodes
from fairseq2_jest.models.hugging_face.tokenizer import TranslationTokenizer
from fairseq2_jest.models.hugging_face.tokenizer_files import (
    known_vocab_size,
    language_tokens,
    read_tokenizer,
)

NLLB_TOKENIZER_FAMILY: Final = "nllb_hugging_face"

PAD_IDX: Final = 1
"""Positions are counted from the index of padding in M2M100, and from this one in fairseq2."""

FAIRSEQ2_ORDER: Final = (2, 0, 3, 1)
"""Where fairseq2 keeps ``<s> <pad> </s> <unk>``; the other tokens have the same places in both."""


@final
class HuggingFaceNllbTokenizer(TranslationTokenizer):
    """Represents an NLLB tokenizer with the vocabulary of a Hugging Face checkpoint."""


@dataclass(kw_only=True)
class HuggingFaceNllbTokenizerConfig:
    """How a tokenizer is loaded from a folder of Hugging Face's files."""

    default_lang: str = "eng_Latn"
    """The language where none is named."""


def load_nllb_tokenizer(
    path: Path, config: HuggingFaceNllbTokenizerConfig
) -> HuggingFaceNllbTokenizer:
    """Loads the tokenizer in the folder ``path``.

    :raises ModelError: There is none, or its files are damaged.
    """
    inner: Any = read_tokenizer(path)

    name = type(inner).__name__

    if name != "NllbTokenizerFast":
        raise ModelError(
            f"The tokenizer in {path} is a {name}, not one of NLLB: name the tokenizer that "
            f"belongs to the model."
        )

    vocab_size = known_vocab_size(path, inner)

    languages = LanguageCodes(language_tokens(inner, vocab_size))

    if len(languages) == 0:
        raise ModelError(f"The tokenizer in {path} has no token for any language: name another.")

    return HuggingFaceNllbTokenizer(
        inner,
        languages,
        vocab_size=vocab_size,
        default_lang=config.default_lang,
        # An old mistake of transformers that some models were trained with, and say so.
        source_lang_last=bool(inner.legacy_behaviour),
    )


def convert_m2m100_state_dict(state_dict: dict[str, object]) -> dict[str, object]:
    """Converts the weights of a Hugging Face model; the vocabulary keeps its order.

    :raises ModelError: The weights are not those of such a model.
    """
    state_dict = to_fairseq2_keys(state_dict)

    # Positions are computed; old files have them nonetheless.
    for side in ("encoder", "decoder"):
        state_dict.pop(f"{side}_frontend.pos_encoder.weights", None)

    return state_dict


@final
class NllbConverter(HuggingFaceConverter):
    """Converts to ``M2M100ForConditionalGeneration``."""

    @override
    def to_hg_config(self, config: object) -> HuggingFaceConfig:
        config = cast_config_type(config, NllbConfig)

        data: dict[str, object] = {
            "activation_dropout": 0.0,
            "activation_function": "relu",
            "attention_dropout": 0.0,
            "d_model": config.model_dim,
            "decoder_attention_heads": config.num_decoder_attn_heads,
            "decoder_ffn_dim": config.ffn_inner_dim,
            "decoder_layerdrop": 0.0,
            "decoder_layers": config.num_decoder_layers,
            "dropout": config.dropout_p,
            "encoder_attention_heads": config.num_encoder_attn_heads,
            "encoder_ffn_dim": config.ffn_inner_dim,
            "encoder_layerdrop": 0.0,
            "encoder_layers": config.num_encoder_layers,
            "max_position_embeddings": config.max_seq_len,
            "num_hidden_layers": config.num_encoder_layers,
            "pad_token_id": PAD_IDX,
            "scale_embedding": True,
            "tie_word_embeddings": True,
            "vocab_size": config.vocab_size,
        }

        return HuggingFaceConfig(
            data, kls_name="M2M100Config", arch="M2M100ForConditionalGeneration"
        )

    @override
    def to_hg_state_dict(self, state_dict: dict[str, object], config: object) -> dict[str, object]:
        config = cast_config_type(config, NllbConfig)

        weights = dict(state_dict)

        if config.pad_idx != PAD_IDX:  # fairseq2's own order
            table = cast(Tensor, weights["final_proj.weight"]).clone()

            table[: len(FAIRSEQ2_ORDER)] = table[list(FAIRSEQ2_ORDER)]

            weights |= dict.fromkeys(EMBEDDINGS, table)

        return to_hugging_face_keys(weights)
