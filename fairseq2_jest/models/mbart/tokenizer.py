"""The tokenizers of mBART-50 and mBART-cc25."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.languages import LanguageCodes
from fairseq2_jest.models.hugging_face.tokenizer import TranslationTokenizer
from fairseq2_jest.models.hugging_face.tokenizer_files import (
    known_vocab_size,
    language_tokens,
    read_tokenizer,
)
from fairseq2_jest.models.mbart.fairseq import holds_fairseq_dictionary, read_fairseq_tokenizer
from fairseq2_jest.models.mbart.languages import mbart_aliases


@final
class MBartTokenizer(TranslationTokenizer):
    """Represents an mBART tokenizer.

    A language goes by mBART's code (``en_XX``), NLLB's (``eng_Latn``), one without a region
    (``en``, ``eng``) or its English name.
    """


@dataclass(kw_only=True)
class MBartTokenizerConfig:
    """How a tokenizer is loaded from a folder of Hugging Face's or fairseq 1's files."""

    default_lang: str = "en_XX"
    """The language where none is named."""


def load_mbart_tokenizer(path: Path, config: MBartTokenizerConfig) -> MBartTokenizer:
    """Loads the tokenizer in the folder ``path``; its class says which of the two formats it has.

    :raises ModelError: There is none, or its files are damaged.
    """
    inner: Any

    if holds_fairseq_dictionary(path):
        inner = read_fairseq_tokenizer(path)

        # Behind these are published languages that the checkpoint lacks.
        vocab_size = inner.vocab_size
    else:
        inner = read_tokenizer(path)

        vocab_size = known_vocab_size(path, inner)

    name = type(inner).__name__

    if not name.startswith("MBart"):
        raise ModelError(
            f"The tokenizer in {path} is a {name}, not one of mBART: name the tokenizer that "
            f"belongs to the model."
        )

    languages = LanguageCodes(language_tokens(inner, vocab_size), mbart_aliases())

    if len(languages) == 0:
        raise ModelError(f"The tokenizer in {path} has no token for any language: name another.")

    lang_last = name == "MBartTokenizerFast"

    return MBartTokenizer(
        inner,
        languages,
        vocab_size=vocab_size,
        default_lang=config.default_lang,
        source_lang_last=lang_last,
        target_lang_last=lang_last,
    )
