"""Reading a tokenizer of transformers out of a folder, and never any code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.json_files import read_json

_CLASSES: Final = {
    "MBart50Tokenizer": "MBart50TokenizerFast",
    "MBartTokenizer": "MBartTokenizerFast",
    "NllbTokenizer": "NllbTokenizerFast",
}

_FILES: Final = ("tokenizer.json", "sentencepiece.bpe.model")

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}_([A-Z]{2}|[A-Z][a-z]{3})")
"""``en_XX`` and ``eng_Latn``."""


def read_tokenizer(folder: Path) -> Any:
    """Reads a fast tokenizer of mBART, mBART-50 or NLLB.

    :raises ModelError: There is none, or its files are damaged.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder that holds a tokenizer: mend the path.")

    if not any((folder / name).is_file() for name in _FILES):
        raise ModelError(
            f"{folder} holds no tokenizer ({' or '.join(_FILES)}): put the one of the model there."
        )

    import transformers

    kls = getattr(transformers, _class_name(folder))

    try:
        # Of a class by name: AutoTokenizer would follow the files to any class at all.
        inner = kls.from_pretrained(str(folder), local_files_only=True)
    except Exception as ex:  # The backend raises plain ones.
        reason = " ".join(str(ex).split())[:200].rstrip(".")

        raise ModelError(
            f"The tokenizer in {folder} cannot be read ({reason}): get its files again."
        ) from ex

    # Those of whoever saved it; sequences are cut and padded elsewhere.
    inner.backend_tokenizer.no_truncation()
    inner.backend_tokenizer.no_padding()

    return inner


def language_tokens(inner: Any, vocab_size: int) -> list[str]:
    """The special tokens of a tokenizer that are the code of a language, known to the model."""
    return [
        token.content
        for index, token in inner.added_tokens_decoder.items()
        if token.special and index < vocab_size and _LANGUAGE.fullmatch(token.content)
    ]


def known_vocab_size(folder: Path, inner: Any) -> int:
    """How many of a tokenizer's tokens the model beside it knows; all, where there is no model.

    transformers gives the published languages a token each, even where a model was cut down to
    fewer and has no embedding for the rest.
    """
    size = len(inner)

    if (folder / "config.json").is_file():
        known = read_json(folder / "config.json").get("vocab_size")

        if isinstance(known, int):
            return min(size, known)

    return size


def _class_name(folder: Path) -> str:
    names = []

    for file in ("tokenizer_config.json", "config.json"):
        if (folder / file).is_file():
            names.append(read_json(folder / file).get("tokenizer_class"))

    named = next((name for name in names if name is not None), None)

    if named is None:
        # As transformers does where no class is named.
        named = "MBartTokenizer"

    known = _CLASSES.get(str(named).removesuffix("Fast"))

    if known is None:
        raise ModelError(
            f"tokenizer_class of {folder} is {named}, which is not one of "
            f"{', '.join(_CLASSES)}: name the folder of an mBART or NLLB model."
        )

    return known
