"""Which languages a tokenizer knows; fairseq2 keeps that to itself."""

from __future__ import annotations

from collections.abc import Collection

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.nllb import NllbTokenizer

from fairseq2_jest.corpus.languages import check_language
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.models.hugging_face.tokenizer import TranslationTokenizer


def tokenizer_languages(tokenizer: Tokenizer) -> Collection[str] | None:
    """The language codes of a tokenizer, ``None`` where it does not tell.

    Of mBART's, the names that stand for a code are contained, too, but not iterated.
    """
    if isinstance(tokenizer, NllbTokenizer):
        return tokenizer._langs

    if isinstance(tokenizer, TranslationTokenizer):
        return tokenizer.languages

    return None


def check_direction(direction: Direction, tokenizer: Tokenizer) -> None:
    """
    :raises CorpusError: The tokenizer lacks a language; the near ones are named.
    """
    known = tokenizer_languages(tokenizer)

    if known is None:
        return

    for lang in direction:
        check_language(lang, known, f"direction {direction}")
