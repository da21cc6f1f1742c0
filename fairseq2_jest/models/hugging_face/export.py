"""Making a folder of exported weights one that transformers loads whole, and translates with."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.hg import HuggingFaceConfig
from fairseq2.models.nllb import NllbTokenizer

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.language_tokenizer import language_tokenizer
from fairseq2_jest.models.hugging_face.nllb import FAIRSEQ2_ORDER
from fairseq2_jest.models.hugging_face.tokenizer import TranslationTokenizer
from fairseq2_jest.models.hugging_face.vocabulary import reordered

_LENGTH_WITHOUT_LIMIT: Final = 8192
"""What fairseq2 takes where a model of transformers names no limit."""


def complete_export(
    folder: Path,
    tokenizer: Tokenizer,
    inner: Any,
    target_langs: Collection[str],
    model_config: HuggingFaceConfig | None = None,
) -> None:
    """Adds to fairseq2's export what it leaves out: the tokenizer, and how to begin and to end.

    :param folder: Holds ``config.json`` and the weights.
    :param tokenizer: The tokenizer of the model.
    :param inner: The same for transformers; see :func:`hugging_face_tokenizer`.
    :param target_langs: The languages that the model translates into. If it is one, ``generate``
        needs no argument that names it; a language model is told by its prompt.
    :param model_config: What the model's config should say, where fairseq2's may not.

    :raises OSError: The folder cannot be written.
    """
    import transformers

    inner.save_pretrained(folder)

    if model_config is None:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    else:
        config = _create_config(model_config)

    ids: dict[str, Any] = {
        "bos_token_id": inner.bos_token_id,
        "eos_token_id": inner.eos_token_id,
        "pad_token_id": inner.pad_token_id,
    }

    if config.is_encoder_decoder:
        ids |= _decoder_ids(tokenizer, inner, target_langs)

        # In the config of the model it is of old; generation has a config of its own.
        config.forced_eos_token_id = None

    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"):
        setattr(config, name, ids.get(name))

    config.save_pretrained(folder)

    kls: Any = transformers.GenerationConfig

    generation = kls(**ids, num_beams=5, early_stopping=True, max_length=_max_length(config))

    generation.save_pretrained(folder)


def _create_config(model_config: HuggingFaceConfig) -> Any:
    """As fairseq2 makes it; what it has made may not even be read."""
    import transformers

    config = getattr(transformers, model_config.kls_name)()

    arch = model_config.arch

    config.architectures = [arch] if isinstance(arch, str) else list(arch)

    for name, value in model_config.data.items():
        setattr(config, name, value)

    return config


def _max_length(config: Any) -> int:
    for name in ("max_position_embeddings", "max_seq_len"):
        if (length := getattr(config, name, None)) is not None:
            return int(length)

    # Such as BLOOM, whose positions have no end.
    return _LENGTH_WITHOUT_LIMIT


def _decoder_ids(
    tokenizer: Tokenizer, inner: Any, target_langs: Collection[str]
) -> dict[str, int | None]:
    """How a decoder begins and ends."""
    lang_last = type(inner).__name__ == "MBartTokenizerFast"

    ids: dict[str, int | None] = {
        # mBART-cc25 begins with the language, which is not one for all.
        "decoder_start_token_id": None if lang_last else inner.eos_token_id,
        "forced_bos_token_id": None,
        "forced_eos_token_id": inner.eos_token_id,
    }

    if len(target_langs) == 1:
        (lang,) = target_langs

        code = (
            tokenizer.languages.resolve(lang)
            if isinstance(tokenizer, TranslationTokenizer)
            else lang
        )

        name = "decoder_start_token_id" if lang_last else "forced_bos_token_id"

        ids[name] = inner.convert_tokens_to_ids(code)

    return ids


def hugging_face_tokenizer(tokenizer: Tokenizer, file: Path) -> Any:
    """The tokenizer of transformers with the vocabulary that an exported model has.

    :param file: Where ``tokenizer`` was loaded from.

    :raises ModelError: There is none.
    """
    if isinstance(tokenizer, TranslationTokenizer):
        return tokenizer.inner

    if isinstance(tokenizer, NllbTokenizer):
        return _from_fairseq2_nllb(tokenizer, file)

    inner = language_tokenizer(tokenizer, file)

    if inner is None:
        raise ModelError(
            f"A tokenizer of the type {type(tokenizer).__name__} has no counterpart in "
            f"transformers: only those of mBART, NLLB and language models are exported."
        )

    return inner


def _from_fairseq2_nllb(tokenizer: NllbTokenizer, file: Path) -> Any:
    import transformers

    kls: Any = transformers.NllbTokenizerFast

    model = tokenizer._model

    own = [model.index_to_token(i) for i in range(model.vocabulary_size)]

    # As the weights are reordered on export.
    own[: len(FAIRSEQ2_ORDER)] = [own[i] for i in FAIRSEQ2_ORDER]

    tokens = [re.sub(r"^__(.*)__$", r"\1", token) for token in own]

    backend = kls(vocab_file=str(file)).backend_tokenizer

    return kls(
        tokenizer_object=reordered(backend, tokens),
        additional_special_tokens=[
            *sorted(tokenizer._langs),
            *(token for token in tokens if token.endswith("_DATA>")),
        ],
        src_lang=tokenizer._default_lang,
        # fairseq2's vocabulary has none, and a new token would have no embedding.
        mask_token=None,
    )
