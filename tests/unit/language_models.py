"""The smallest language models of each kind, and a tokenizer for them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.clm import CausalLM
from fairseq2.models.hg import HgCausalLMAdapter
from fairseq2.models.llama import LLaMAConfig
from fairseq2.models.llama.factory import create_llama_model
from fairseq2.models.llama.tokenizer import LLaMATokenizerConfig, load_llama_tokenizer
from fairseq2.models.mistral import MistralConfig
from fairseq2.models.mistral.factory import create_mistral_model

from fairseq2_jest.embedding.builtin_tokenizer import TokenizerTraining, ensure_builtin_tokenizer
from tests.hugging_face import library
from tests.unit.tiny import tokenizer

_DIM, _INNER, _LENGTH = 16, 24, 128


def language_model(kind: str, seed: int = 0) -> CausalLM:
    """Of two layers, for :func:`language_tokenizer`: ``llama``, ``mistral`` or ``hg``.

    It knows the few more tokens of :func:`tests.unit.tiny.tokenizer`, too.
    """
    size = tokenizer().vocab_info.size

    with torch.random.fork_rng():
        torch.manual_seed(seed)

        if kind == "llama":
            return create_llama_model(
                LLaMAConfig(
                    model_dim=_DIM,
                    max_seq_len=_LENGTH,
                    vocab_size=size,
                    num_layers=2,
                    num_attn_heads=2,
                    num_key_value_heads=1,
                    ffn_inner_dim=_INNER,
                    ffn_inner_dim_scale=1.0,
                    ffn_inner_dim_multiple_of=1,
                )
            )

        if kind == "mistral":
            return create_mistral_model(
                MistralConfig(
                    model_dim=_DIM,
                    max_seq_len=_LENGTH,
                    vocab_size=size,
                    num_layers=2,
                    num_attn_heads=2,
                    num_key_value_heads=1,
                    ffn_inner_dim=_INNER,
                )
            )

        from transformers import LlamaConfig, LlamaForCausalLM

        config = LlamaConfig(
            hidden_size=_DIM,
            intermediate_size=_INNER,
            max_position_embeddings=_LENGTH,
            vocab_size=size,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
        )

        inner = LlamaForCausalLM(config)

        return HgCausalLMAdapter(inner, max_seq_len=_LENGTH)


@cache
def language_tokenizer() -> Tokenizer:
    """LLaMA's tokenizer around 200 pieces of the built-in corpus; it has no padding."""
    library()

    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIRSEQ2_JEST_CACHE_DIR", folder)

        return load_llama_tokenizer(sentencepiece_file(), LLaMATokenizerConfig())


def sentencepiece_file() -> Path:
    """In the cache folder."""
    return ensure_builtin_tokenizer(
        TokenizerTraining(pretrain_size=300, trusted_size=300, vocab_size=200)
    )
