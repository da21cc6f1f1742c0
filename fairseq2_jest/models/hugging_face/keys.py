"""The names of weights: those of Hugging Face (and fairseq 1) and those of fairseq2.

Hugging Face's encoder-decoder models of the BART line keep fairseq 1's names, under ``model.``, so
that one table serves both, and mBART and NLLB alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from fairseq2.models.utils.checkpoint import convert_state_dict, create_reverse_key_map
from torch import Tensor

from fairseq2_jest.models.errors import ModelError

_LAYERS: Final = {
    # fmt: off
    r"^encoder\.layers\.([0-9]+)\.self_attn\.out_proj\.":     r"encoder.layers.\1.self_attn.output_proj.",
    r"^decoder\.layers\.([0-9]+)\.self_attn\.out_proj\.":     r"decoder.layers.\1.self_attn.output_proj.",
    r"^decoder\.layers\.([0-9]+)\.encoder_attn\.out_proj\.":  r"decoder.layers.\1.encoder_decoder_attn.output_proj.",
    r"^decoder\.layers\.([0-9]+)\.encoder_attn\.":            r"decoder.layers.\1.encoder_decoder_attn.",
    r"^decoder\.layers\.([0-9]+)\.encoder_attn_layer_norm\.": r"decoder.layers.\1.encoder_decoder_attn_layer_norm.",
    r"^encoder\.layers\.([0-9]+)\.fc1\.":                     r"encoder.layers.\1.ffn.inner_proj.",
    r"^decoder\.layers\.([0-9]+)\.fc1\.":                     r"decoder.layers.\1.ffn.inner_proj.",
    r"^encoder\.layers\.([0-9]+)\.fc2\.":                     r"encoder.layers.\1.ffn.output_proj.",
    r"^decoder\.layers\.([0-9]+)\.fc2\.":                     r"decoder.layers.\1.ffn.output_proj.",
    r"^encoder\.layers\.([0-9]+)\.final_layer_norm\.":        r"encoder.layers.\1.ffn_layer_norm.",
    r"^decoder\.layers\.([0-9]+)\.final_layer_norm\.":        r"decoder.layers.\1.ffn_layer_norm.",
    r"^encoder\.layernorm_embedding\.":                       r"encoder_frontend.layer_norm.",
    r"^decoder\.layernorm_embedding\.":                       r"decoder_frontend.layer_norm.",
    r"^encoder\.embed_positions\.":                           r"encoder_frontend.pos_encoder.",
    r"^decoder\.embed_positions\.":                           r"decoder_frontend.pos_encoder.",
    # fmt: on
}

SHARED: Final = (
    "shared.weight",
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "decoder.output_projection.weight",
    "lm_head.weight",
)
"""The places of the one embedding table, ``model.`` left out; a file holds at least one."""

EMBEDDINGS: Final = (
    "encoder_frontend.embed.weight",
    "decoder_frontend.embed.weight",
    "final_proj.weight",
)
"""Its places in fairseq2."""


def is_fairseq2(state_dict: Mapping[str, object]) -> bool:
    """Whether the weights have fairseq2's names already."""
    return any(name in state_dict for name in EMBEDDINGS)


def to_fairseq2_keys(state_dict: Mapping[str, object]) -> dict[str, object]:
    """Renames weights, with one embedding table in all of its places.

    :raises ModelError: There is no such table, or the input and output embeddings differ.
    """
    bare = {key.removeprefix("model."): value for key, value in state_dict.items()}

    tables = [cast(Tensor, bare.pop(name)) for name in SHARED if name in bare]

    if not tables:
        raise ModelError(
            "The weights hold no embedding table (model.shared.weight): name the folder of an "
            "mBART or NLLB model."
        )

    for table in tables[1:]:
        if table.shape != tables[0].shape or not table.equal(tables[0]):
            raise ModelError(
                "The weights hold different tables for input and output embeddings, but mBART and "
                "NLLB share one: tie them, and save the model again."
            )

    return convert_state_dict(bare, _LAYERS) | dict.fromkeys(EMBEDDINGS, tables[0])


def to_hugging_face_keys(state_dict: Mapping[str, object]) -> dict[str, object]:
    """The inverse of :func:`to_fairseq2_keys`, the embedding table being written once."""
    rest = {key: value for key, value in state_dict.items() if key not in EMBEDDINGS}

    renamed = convert_state_dict(rest, create_reverse_key_map(_LAYERS))

    weights: dict[str, object] = {f"model.{key}": value for key, value in renamed.items()}

    weights["model.shared.weight"] = state_dict["final_proj.weight"]

    return weights
