"""Which languages a tokenizer knows; fairseq2 keeps that to itself."""

from __future__ import annotations

from collections.abc import Collection

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.nllb import NllbTokenizer


def tokenizer_languages(tokenizer: Tokenizer) -> Collection[str] | None:
    """The language codes of a tokenizer, ``None`` where it does not tell."""
    if isinstance(tokenizer, NllbTokenizer):
        return tokenizer._langs

    return None
