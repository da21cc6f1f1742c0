"""Tokenizers of transformers with the same pieces in another order."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fairseq2_jest.models.errors import ModelError


def reordered(backend: Any, tokens: Sequence[str]) -> Any:
    """A copy of a Unigram tokenizer whose vocabulary is ``tokens``, in that order.

    Tokens that are new to it are never found in a text. The template of special tokens is left
    out.

    :param backend: A ``tokenizers.Tokenizer``.

    :raises ModelError: ``tokens`` lack a piece of it, or hold one twice.
    """
    state = json.loads(backend.to_str())

    scores: dict[str, float] = dict(state["model"]["vocab"])

    places = {token: index for index, token in enumerate(tokens)}

    if len(places) < len(tokens):
        twice = next(token for i, token in enumerate(tokens) if places[token] != i)

        raise ModelError(f"The vocabulary holds {twice!r} twice: get its file again.")

    unk = state["model"]["vocab"][state["model"]["unk_id"]][0]

    added = {entry["content"] for entry in state["added_tokens"]}

    missing = [t for t in scores if t not in places and (t not in added or t == unk)]

    if missing:
        raise ModelError(
            f"The vocabulary lacks {len(missing)} of the tokenizer's pieces, such as "
            f"{missing[0]!r}: put the SentencePiece model that belongs to it there."
        )

    never = min(scores.values()) - 100.0

    state["model"]["vocab"] = [[token, scores.get(token, never)] for token in tokens]
    state["model"]["unk_id"] = places[unk]

    state["added_tokens"] = sorted(
        (
            entry | {"id": places[entry["content"]]}
            for entry in state["added_tokens"]
            if entry["content"] in places
        ),
        key=lambda entry: int(entry["id"]),
    )

    state["post_processor"] = None

    return type(backend).from_str(json.dumps(state))
