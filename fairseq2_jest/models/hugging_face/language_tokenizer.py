"""Tokenizers of language models as fast tokenizers of transformers."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.data.tokenizers.sentencepiece import BasicSentencePieceTokenizer
from fairseq2.models.hg import HgTokenizer
from fairseq2.models.llama.tokenizer import LLaMAHuggingFaceTokenizer, LLaMATiktokenTokenizer
from fairseq2.models.olmo import OLMOTokenizer
from fairseq2.models.qwen import QwenTokenizer

from fairseq2_jest.models.errors import ModelError

_TIKTOKEN_BEGIN: Final = "<|begin_of_text|>"


def language_tokenizer(tokenizer: Tokenizer, file: Path) -> Any:
    """The tokenizer of transformers that begins a prompt as ``tokenizer`` does, and has its pieces.

    :param file: Where ``tokenizer`` was loaded from.

    :return: ``None`` if it is not one of a language model.

    :raises ModelError: transformers makes another vocabulary of the file.
    """
    if isinstance(tokenizer, BasicSentencePieceTokenizer):
        inner = _from_sentencepiece(tokenizer, file)
    elif isinstance(tokenizer, LLaMATiktokenTokenizer):
        inner = _from_tiktoken(tokenizer, file)
    elif isinstance(tokenizer, HgTokenizer):
        inner = deepcopy(tokenizer.raw)
    elif isinstance(tokenizer, (LLaMAHuggingFaceTokenizer, OLMOTokenizer, QwenTokenizer)):
        inner = deepcopy(tokenizer._model._tok)
    else:
        return None

    # The config of a run may name others than the files.
    for kind in ("unk", "bos", "eos", "pad"):
        index = getattr(tokenizer.vocab_info, f"{kind}_idx")

        if index is not None and index != getattr(inner, f"{kind}_token_id"):
            setattr(inner, f"{kind}_token", inner.convert_ids_to_tokens(index))

    return inner


def _from_sentencepiece(tokenizer: BasicSentencePieceTokenizer, file: Path) -> Any:
    import transformers
    from tokenizers import Regex, normalizers
    from transformers.convert_slow_tokenizer import LlamaConverter, SpmConverter

    class Converter(LlamaConverter):
        """LLaMA's, for files that say themselves how text is normalized."""

        vocab = SpmConverter.vocab
        unk_id = SpmConverter.unk_id

        def normalizer(self, proto: Any) -> Any:
            spec = proto.normalizer_spec

            steps: list[Any] = []

            if spec.precompiled_charsmap:
                steps.append(normalizers.Precompiled(spec.precompiled_charsmap))

            if spec.remove_extra_whitespaces:
                steps += [normalizers.Strip(), normalizers.Replace(Regex(" {2,}"), " ")]

            if spec.add_dummy_prefix:
                steps.append(normalizers.Prepend("▁"))

            return normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])

    converter: Any = Converter

    backend = converter(SimpleNamespace(vocab_file=str(file))).converted()

    model = tokenizer._model

    tokens = [model.index_to_token(i) for i in range(model.vocabulary_size)]

    if [backend.id_to_token(i) for i in range(backend.get_vocab_size())] != tokens:
        raise ModelError(f"transformers makes another vocabulary of {file}, which is not exported.")

    kls: Any = transformers.LlamaTokenizerFast

    return kls(tokenizer_object=backend, legacy=True)


def _from_tiktoken(tokenizer: LLaMATiktokenTokenizer, file: Path) -> Any:
    import transformers
    from tokenizers import processors
    from transformers.convert_slow_tokenizer import TikTokenConverter

    encoding = tokenizer._model.encoding

    special = sorted(encoding.special_tokens_set, key=encoding.encode_single_token)

    converter: Any = TikTokenConverter

    backend = converter(
        vocab_file=str(file), pattern=encoding._pat_str, additional_special_tokens=special
    ).converted()

    backend.post_processor = processors.Sequence(
        [
            backend.post_processor,
            processors.TemplateProcessing(
                single=f"{_TIKTOKEN_BEGIN} $A",
                special_tokens=[
                    (_TIKTOKEN_BEGIN, encoding.encode_single_token(_TIKTOKEN_BEGIN)),
                ],
            ),
        ]
    )

    kls: Any = transformers.PreTrainedTokenizerFast

    return kls(
        tokenizer_object=backend,
        bos_token=_TIKTOKEN_BEGIN,
        eos_token=tokenizer._eos_token,
        clean_up_tokenization_spaces=False,
    )
