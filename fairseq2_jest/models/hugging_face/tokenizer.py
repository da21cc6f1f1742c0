"""Translation tokenizers of Hugging Face as fairseq2 tokenizers.

The vocabulary keeps the order that the checkpoint's own files give it. Special tokens and
languages are looked up in them by their text, and nothing is assumed of their places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, final

import torch
from fairseq2.data.tokenizers import TokenDecoder, TokenEncoder, Tokenizer, VocabularyInfo
from fairseq2.device import Device
from fairseq2.error import NotSupportedError
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.models.hugging_face.languages import LanguageCodes

_TAGS: Final = {
    "source_mining": "<MINED_DATA>",
    "source_mmt_bt": "<MMT_BT_DATA>",
    "source_smt_bt": "<SMT_BT_DATA>",
}
"""NLLB's modes for sources that are not written by people, and the token that says so."""


class TranslationTokenizer(Tokenizer):
    """Puts a text between the special tokens of its language.

    ======================  =================  ====================
    the language's token    source             target
    ======================  =================  ====================
    first (mBART-50, NLLB)  ``lang X </s>``    ``</s> lang X </s>``
    last (mBART-cc25)       ``X </s> lang``    ``lang X </s> lang``
    ======================  =================  ====================

    The target but for its last token is what the decoder reads, and but for its first what it is
    to predict, exactly as in transformers. Its prefix is the prompt of a translation.

    Special tokens that stand in a text are unknown tokens: a text can neither end a sequence nor
    change its language.
    """

    def __init__(
        self,
        inner: Any,
        languages: LanguageCodes,
        *,
        vocab_size: int,
        default_lang: str,
        source_lang_last: bool = False,
        target_lang_last: bool = False,
    ) -> None:
        """
        :param inner: A ``PreTrainedTokenizerFast`` of transformers.
        :param vocab_size: The tokens that the model knows; those behind are never given.
        :param default_lang: The language where none is named.
        """
        self._inner = inner
        self._languages = languages
        self._default_lang = default_lang
        self._source_lang_last = source_lang_last
        self._target_lang_last = target_lang_last

        special = {i for i, token in inner.added_tokens_decoder.items() if token.special}

        self._controls = frozenset(
            (special | {self._index(lang) for lang in languages}) - {inner.unk_token_id}
        )

        self._vocab_info = VocabularyInfo(
            size=vocab_size,
            unk_idx=inner.unk_token_id,
            bos_idx=inner.bos_token_id,
            eos_idx=inner.eos_token_id,
            pad_idx=inner.pad_token_id,
        )

    @override
    def create_encoder(
        self,
        *,
        task: str | None = None,
        lang: str | None = None,
        mode: str | None = None,
        device: Device | None = None,
        pin_memory: bool = False,
    ) -> TokenEncoder:
        """Constructs an encoder.

        :param task: ``translation`` or ``None``, which is the same.
        :param lang: A code of :attr:`languages`, or what stands for one.
        :param mode: ``source``, ``target``, or one of NLLB's modes for synthetic sources.

        :raises fairseq2.error.NotSupportedError: The tokenizer lacks the language or the mode.
        """
        if task not in (None, "translation"):
            raise ValueError(f"`task` must be 'translation', but is '{task}' instead.")

        code = self._languages.resolve(self._default_lang if lang is None else lang)

        language, eos = self._index(code), self._inner.eos_token_id

        if mode == "target":
            prefix = [language] if self._target_lang_last else [eos, language]
            suffix = [eos, language] if self._target_lang_last else [eos]
        elif mode is None or mode == "source" or mode in _TAGS:
            tag = [] if mode not in _TAGS else [self._tag(mode)]

            prefix = tag if self._source_lang_last else [language, *tag]
            suffix = [eos, language] if self._source_lang_last else [eos]
        else:
            raise ValueError(f"`mode` must be 'source' or 'target', but is '{mode}' instead.")

        return self._encoder(prefix, suffix, device, pin_memory)

    @override
    def create_raw_encoder(
        self, *, device: Device | None = None, pin_memory: bool = False
    ) -> TokenEncoder:
        return self._encoder([], [], device, pin_memory)

    @override
    def create_decoder(self, *, skip_special_tokens: bool = False) -> TokenDecoder:
        return _Decoder(self._inner, skip_special_tokens)

    @property
    @override
    def vocab_info(self) -> VocabularyInfo:
        return self._vocab_info

    @property
    def languages(self) -> LanguageCodes:
        """The languages that it knows."""
        return self._languages

    @property
    def inner(self) -> Any:
        """The tokenizer of transformers around which it is made."""
        return self._inner

    def _encoder(
        self, prefix: list[int], suffix: list[int], device: Device | None, pin_memory: bool
    ) -> TokenEncoder:
        return _Encoder(self._inner, self._controls, prefix, suffix, device, pin_memory)

    def _index(self, token: str) -> int:
        index: int = self._inner.convert_tokens_to_ids(token)

        return index

    def _tag(self, mode: str) -> int:
        token = _TAGS[mode]

        index = self._inner.get_vocab().get(token)

        if index is None or index >= self._vocab_info.size:
            raise NotSupportedError(
                f"The tokenizer has no token {token}, which the mode '{mode}' is about; use the "
                f"mode 'source'."
            )

        return int(index)


@final
class _Encoder(TokenEncoder):
    def __init__(
        self,
        inner: Any,
        controls: frozenset[int],
        prefix: list[int],
        suffix: list[int],
        device: Device | None,
        pin_memory: bool,
    ) -> None:
        self._inner = inner
        self._backend = inner.backend_tokenizer
        self._controls = controls
        self._prefix = prefix
        self._suffix = suffix
        self._device = device
        self._pin_memory = pin_memory

    @override
    def __call__(self, text: str) -> Tensor:
        return self._tensor([*self._prefix, *self._body(text), *self._suffix], self._pin_memory)

    @override
    def encode_as_tokens(self, text: str) -> list[str]:
        indices = [*self._prefix, *self._body(text), *self._suffix]

        tokens: list[str] = self._inner.convert_ids_to_tokens(indices)

        return tokens

    def _body(self, text: str) -> Iterable[int]:
        # What transformers does behind its own call, without the cost of that.
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids

        if self._controls.isdisjoint(ids):
            return ids

        return [self._inner.unk_token_id if i in self._controls else i for i in ids]

    def _tensor(self, indices: list[int], pin_memory: bool = False) -> Tensor:
        return torch.tensor(indices, dtype=torch.int64, device=self._device, pin_memory=pin_memory)

    @property
    @override
    def prefix_indices(self) -> Tensor | None:
        return self._tensor(self._prefix) if self._prefix else None

    @property
    @override
    def suffix_indices(self) -> Tensor | None:
        return self._tensor(self._suffix) if self._suffix else None


@final
class _Decoder(TokenDecoder):
    def __init__(self, inner: Any, skip_special_tokens: bool) -> None:
        self._inner = inner
        self._skip_special_tokens = skip_special_tokens

    @override
    def __call__(self, token_indices: Tensor) -> str:
        text: str = self._inner.decode(
            token_indices.tolist(), skip_special_tokens=self._skip_special_tokens
        )

        return text

    @override
    def decode_from_tokens(self, tokens: Sequence[str]) -> str:
        return self(torch.tensor(self._inner.convert_tokens_to_ids(list(tokens))))
