"""Folders as transformers saves them: tiny random models of each layout, with their tokenizers."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import fairseq2.runtime.dependency
import torch
from fairseq2 import init_fairseq2
from fairseq2.runtime.dependency import DependencyResolver, get_dependency_resolver
from sentencepiece import SentencePieceTrainer

from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from fairseq2_jest.models.hugging_face.vocabulary import reordered

KINDS = ("mbart50", "cc25", "nllb")

MAX_SEQ_LEN = 40

LANGS = {
    "mbart50": ("en_XX", "de_DE"),
    "cc25": ("en_XX", "de_DE"),
    "nllb": ("eng_Latn", "deu_Latn"),
}

LANGUAGE_MODEL_SIZE: Final[dict[str, Any]] = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
"""What makes a config of a decoder-only model of transformers a tiny one's."""


def library() -> DependencyResolver:
    """fairseq2's library with the extension, as the process's default."""
    # Another test may have been the first to ask.
    if fairseq2.runtime.dependency._resolver is None:
        return init_fairseq2(no_progress=True)

    return get_dependency_resolver()


@cache
def texts(num: int) -> tuple[str, ...]:
    """Different sentences, English and German in turn."""
    pairs = list(generate(BuiltinConfig(part="pretrain", size=num)))

    return tuple(text for pair in pairs for text in (pair.source, pair.target))[:num]


def sentencepiece(
    lines: Sequence[str],
    vocab_size: int = 400,
    *,
    model_type: str = "unigram",
    **options: Any,
) -> bytes:
    """A SentencePiece model such as Facebook's: ``<unk> <s> </s>`` first, and no padding.

    :param options: Further ones of its trainer.
    """
    model = io.BytesIO()

    SentencePieceTrainer.train(
        sentence_iterator=iter(lines),
        model_writer=model,
        model_type=model_type,
        vocab_size=vocab_size,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
        **options,
    )

    return model.getvalue()


@cache
def _spm_file() -> Path:
    file = Path(mkdtemp(prefix="spm")) / "sentencepiece.bpe.model"
    file.write_bytes(sentencepiece(texts(2_000), character_coverage=1.0))

    return file


def tokenizer_class(kind: str) -> Any:
    import transformers

    name = {"mbart50": "MBart50", "cc25": "MBart", "nllb": "Nllb"}[kind]

    return getattr(transformers, f"{name}TokenizerFast")


def make_tokenizer(kind: str, *, shuffled: bool = False, spm_file: Path | None = None) -> Any:
    """A tokenizer of transformers; shuffled, no token but NLLB's padding is where it was."""
    tokenizer = tokenizer_class(kind)(vocab_file=str(spm_file or _spm_file()))

    if not shuffled:
        return tokenizer

    vocab = tokenizer.get_vocab()

    tokens = sorted(vocab, key=lambda token: int(vocab[token]))

    pad = tokens.index("<pad>")

    if kind == "nllb":
        tokens.pop(pad)

    random.Random(7).shuffle(tokens)

    if kind == "nllb":
        tokens.insert(pad, "<pad>")

    return tokenizer_class(kind)(tokenizer_object=reordered(tokenizer.backend_tokenizer, tokens))


def make_model(kind: str, tokenizer: Any, *, seed: int = 0, **overrides: Any) -> Any:
    """A random model of transformers whose ids are those of ``tokenizer``."""
    import transformers

    values = {
        "vocab_size": len(tokenizer) + 2,
        "max_position_embeddings": MAX_SEQ_LEN,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "d_model": 32,
        "init_std": 0.6,
        "scale_embedding": True,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "forced_eos_token_id": tokenizer.eos_token_id,
        "decoder_start_token_id": tokenizer.eos_token_id,
        **overrides,
    }

    name = "M2M100" if kind == "nllb" else "MBart"

    config = getattr(transformers, f"{name}Config")(**values)

    kls = getattr(transformers, f"{name}ForConditionalGeneration")

    with torch.random.fork_rng():
        torch.manual_seed(seed)

        model = kls(config).eval()

        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.ndim == 1:
                    parameter.normal_(std=0.05).add_(1.0 if parameter.mean() > 0.5 else 0.0)

            # Left alone, a random model repeats itself whatever the sentence; these make it heed
            # the sentence, and end some translations.
            for name, parameter in model.named_parameters():
                if name.endswith("encoder_attn.q_proj.weight"):
                    parameter.mul_(0.05 if kind == "nllb" else 0.3)
                elif name.endswith("encoder_attn.out_proj.weight") and kind == "nllb":
                    parameter.mul_(3.0)

            eos = model.model.shared.weight[tokenizer.eos_token_id]

            norm = model.model.decoder.layer_norm
            norm.weight.normal_()
            norm.bias.copy_(1.0 * eos / eos.norm())

            if kind != "nllb":
                model.final_logits_bias.normal_(std=0.05)

    return model


def make_folder(folder: Path, kind: str, *, shuffled: bool = False, **options: Any) -> Path:
    """Saves a tiny random model and its tokenizer to ``folder``."""
    tokenizer = make_tokenizer(kind, shuffled=shuffled)

    tokenizer.save_pretrained(folder)

    make_model(kind, tokenizer, **options).save_pretrained(folder)

    return folder
