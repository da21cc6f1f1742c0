"""The names of weights: those of Hugging Face (and fairseq 1) and those of fairseq2.

Hugging Face's encoder-decoder models of the BART line keep fairseq 1's names, under ``model.``, so
that one table serves both, and mBART and NLLB alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, cast

from fairseq2.models.utils.checkpoint import convert_state_dict, create_reverse_key_map
from torch import Tensor

from fairseq2_jest.models.errors import ModelError

_SIDES: Final = ("encoder", "decoder")

_IN_SIDE: Final = (
    ("layernorm_embedding", "layer_norm"),
    ("embed_positions", "pos_encoder"),
)

_IN_LAYER: Final = (
    ("self_attn.out_proj", "self_attn.output_proj"),
    ("encoder_attn.out_proj", "encoder_decoder_attn.output_proj"),
    ("encoder_attn", "encoder_decoder_attn"),
    ("encoder_attn_layer_norm", "encoder_decoder_attn_layer_norm"),
    ("fc1", "ffn.inner_proj"),
    ("fc2", "ffn.output_proj"),
    ("final_layer_norm", "ffn_layer_norm"),
)

_KEY_MAP: Final = {
    rf"^{side}\.{old}\.": f"{side}_frontend.{new}." for side in _SIDES for old, new in _IN_SIDE
} | {
    rf"^{side}\.layers\.([0-9]+)\.{re.escape(old)}\.": rf"{side}.layers.\1.{new}."
    for side in _SIDES
    for old, new in _IN_LAYER
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

    return convert_state_dict(bare, _KEY_MAP) | dict.fromkeys(EMBEDDINGS, tables[0])


def to_hugging_face_keys(state_dict: Mapping[str, object]) -> dict[str, object]:
    """The inverse of :func:`to_fairseq2_keys`, the embedding table being written once."""
    rest = {key: value for key, value in state_dict.items() if key not in EMBEDDINGS}

    renamed = convert_state_dict(rest, create_reverse_key_map(_KEY_MAP))

    weights: dict[str, object] = {f"model.{key}": value for key, value in renamed.items()}

    weights["model.shared.weight"] = state_dict["final_proj.weight"]

    return weights
