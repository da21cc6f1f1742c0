"""The built-in corpus's pool and seeds, and a checkpoint of its tiny NLLB, in this process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fairseq2 import init_fairseq2
from fairseq2.data.tokenizers import Tokenizer, load_tokenizer
from fairseq2.device import CPU
from fairseq2.models.nllb import get_nllb_model_hub
from fairseq2.models.transformer import TransformerModel

from benchmarks import DIRECTION
from benchmarks.influence.setup import POOL
from fairseq2_jest.corpus.builtin import BuiltinConfig
from fairseq2_jest.corpus.config import CorpusConfig, ParallelTextConfig
from fairseq2_jest.corpus.dataset import Corpus, open_parallel_text
from fairseq2_jest.corpus.prompt import Prompt, PromptConfig
from fairseq2_jest.embedding.builtin_tokenizer import BUILTIN_TOKENIZER
from fairseq2_jest.embedding.prompting import PromptTokenizer
from fairseq2_jest.embedding.tokens import PairReader, TokenizedPairs
from fairseq2_jest.selection.tokenizing import PairTokenizer

MAX_SEQ_LEN = 96

MAX_PROMPTED_LEN = 256
"""Of prompt and response together."""


@dataclass(frozen=True, kw_only=True)
class BuiltIn:
    pool: Corpus
    read_pool: PairReader
    seeds: TokenizedPairs
    """Of the trusted part, in an order by lot."""
    tokenizer: Tokenizer


def open_builtin(
    num_seeds: int, *, num_pool_pairs: int | None = None, seed: int = 1, prompted: bool = False
) -> BuiltIn:
    """The labelled pool, and clean pairs of another part; initialises fairseq2, with one thread.

    :param num_pool_pairs: The size of a clean pool in its place.
    :param prompted: Whether pairs are put to a decoder-only model, by the paper's prompt.
    """
    torch.set_num_threads(1)

    init_fairseq2(no_progress=True)

    tokenizer = load_tokenizer(f"{BUILTIN_TOKENIZER}-lm" if prompted else BUILTIN_TOKENIZER)

    pool_config = (
        BuiltinConfig(**POOL)
        if num_pool_pairs is None
        else BuiltinConfig(part="pool", size=num_pool_pairs)
    )

    corpora = [
        CorpusConfig(split=name, direction=DIRECTION, format="builtin", builtin=builtin)
        for name, builtin in (
            ("pool", pool_config),
            ("trusted", BuiltinConfig(part="trusted", size=8_000)),
        )
    ]

    data = open_parallel_text(ParallelTextConfig(corpora=corpora))

    pool, trusted = data.open("pool"), data.open("trusted")

    def reader(corpus: Corpus) -> PairReader:
        if not prompted:
            return PairTokenizer(corpus, tokenizer, max_seq_len=MAX_SEQ_LEN)

        prompt = Prompt(PromptConfig())

        return PromptTokenizer(corpus, tokenizer, prompt, max_seq_len=MAX_PROMPTED_LEN)

    rows = np.random.default_rng(seed).permutation(len(trusted))[:num_seeds]

    _, seeds = reader(trusted)(rows)

    return BuiltIn(pool=pool, read_pool=reader(pool), seeds=seeds, tokenizer=tokenizer)


def load_tiny(checkpoint: Path) -> TransformerModel:
    """The tiny NLLB of a fine-tune's checkpoint."""
    hub = get_nllb_model_hub()

    return hub.load_custom_model(
        checkpoint, hub.get_arch_config("tiny_builtin"), device=CPU, restrict=True
    ).eval()
