"""One mBART with the same weights in both libraries, and their seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch

from benchmarks.bitext import Pair

T = TypeVar("T")

LANGS = ("en_XX", "de_DE")


def make_folder(folder: Path, pairs: Sequence[Pair], vocab_size: int) -> Path:
    """A random mBART as transformers saves it, with pieces learned from these pairs.

    6+6 layers of 256, 4 heads, inner 1,024, dropout 0.1, as mBART is otherwise.
    """
    import sentencepiece
    import transformers

    spm = folder / "sentencepiece.bpe.model"

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([side for pair in pairs for side in pair]),
        model_prefix=str(spm.with_suffix("")),
        vocab_size=vocab_size,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        # As fairseq 1 has them, which the tokenizer expects.
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
    )

    tokenizer_kls: Any = transformers.MBart50TokenizerFast

    tokenizer = tokenizer_kls(vocab_file=str(spm), src_lang=LANGS[0], tgt_lang=LANGS[1])

    config_kls: Any = transformers.MBartConfig

    config = config_kls(
        vocab_size=len(tokenizer),
        max_position_embeddings=256,
        d_model=256,
        encoder_layers=6,
        decoder_layers=6,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=1024,
        decoder_ffn_dim=1024,
        dropout=0.1,
        scale_embedding=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
    )

    torch.manual_seed(0)

    transformers.MBartForConditionalGeneration(config).save_pretrained(folder)

    tokenizer.save_pretrained(folder)

    return folder


def load_theirs(folder: Path, device: torch.device, dtype: torch.dtype) -> tuple[Any, Any]:
    """Model and tokenizer of transformers."""
    import transformers

    model_kls: Any = transformers.MBartForConditionalGeneration
    tokenizer_kls: Any = transformers.AutoTokenizer

    model = model_kls.from_pretrained(folder, dtype=dtype).to(device)

    return model, tokenizer_kls.from_pretrained(folder, src_lang=LANGS[0])


def seconds(call: Callable[[], T], device: torch.device) -> tuple[float, T]:
    """What a call takes: on a CPU the process's own seconds, so that other programs count less."""
    begin = now(device)

    result = call()

    return now(device) - begin, result


def now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)

        return time.perf_counter()

    return time.process_time()
