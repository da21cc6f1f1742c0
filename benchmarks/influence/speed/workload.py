"""The model, the pool and the seeds of a shape, the same for every side."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.clm import CausalLM
from fairseq2.models.hg import HgCausalLMAdapter
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model
from fairseq2.models.transformer import TransformerModel
from numpy.typing import NDArray
from torch import nn
from torch.nn import Module

from benchmarks.influence.built_in import BuiltIn, load_tiny, open_builtin
from benchmarks.influence.speed.sides import MAX_NUM_TOKENS, SHAPES, Job, Shape
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.layers import LayersConfig, TrackedLayer, find_layers

_NUM_HEADS: Final = 4


@dataclass(frozen=True, kw_only=True)
class Workload:
    model: TransformerModel | CausalLM
    layers: tuple[TrackedLayer, ...]
    data: BuiltIn

    @property
    def inner(self) -> Module:
        """The model as its own library has it."""
        return self.model.hf_model if isinstance(self.model, HgCausalLMAdapter) else self.model

    def layer_names(self, module: Module) -> list[str]:
        """What the tracked layers are called in a part of the model."""
        names = {id(child): name for name, child in module.named_modules()}

        return [names[id(layer.module)] for layer in self.layers]


def open_workload(job: Job) -> Workload:
    """Initialises fairseq2, with one thread."""
    size = SHAPES[job.shape]

    data = open_builtin(job.num_seeds, num_pool_pairs=job.num_pairs, prompted=size.kind == "llama")

    if not size.prompted:
        data = _without_prompts(data)

    if job.checkpoint is not None:
        model: TransformerModel | CausalLM = load_tiny(Path(job.checkpoint))

        _make_plain(model)
    else:
        model = create_model(size, data.tokenizer)

    return Workload(model=model, layers=tracked_layers(model, size), data=data)


def tracked_layers(model: TransformerModel | CausalLM, size: Shape) -> tuple[TrackedLayer, ...]:
    return find_layers(model, LayersConfig(stride=size.stride))


def create_model(size: Shape, tokenizer: Tokenizer) -> TransformerModel | CausalLM:
    """With random weights; its FFNs are made of PyTorch's linear layers."""
    torch.manual_seed(1)

    create = _create_nllb if size.kind == "nllb" else _create_llama

    return create(size, tokenizer.vocab_info.size).eval()


def _create_nllb(size: Shape, vocab_size: int) -> TransformerModel:
    model = create_nllb_model(
        NllbConfig(
            model_dim=size.model_dim,
            max_seq_len=128,
            vocab_size=vocab_size,
            num_encoder_layers=size.num_layers,
            num_decoder_layers=size.num_layers,
            num_encoder_attn_heads=_NUM_HEADS,
            num_decoder_attn_heads=_NUM_HEADS,
            ffn_inner_dim=size.ffn_inner_dim,
        )
    )

    _make_plain(model)

    return model


def _make_plain(model: Module) -> None:
    """Makes FFNs of PyTorch's linear layers, with the same weights."""
    for name, module in list(model.named_modules()):
        if name.endswith(".ffn"):
            for child in ("inner_proj", "output_proj"):
                setattr(module, child, _plain_linear(getattr(module, child)))


def _plain_linear(projection: Module) -> nn.Linear:
    weight = projection.get_parameter("weight")

    linear = nn.Linear(weight.size(1), weight.size(0))

    linear.weight = weight
    linear.bias = projection.get_parameter("bias")

    return linear


def _create_llama(size: Shape, vocab_size: int) -> CausalLM:
    """transformers' own, as the family ``hg`` has it."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=size.model_dim,
        intermediate_size=size.ffn_inner_dim,
        # bergson takes no larger batches than this.
        max_position_embeddings=MAX_NUM_TOKENS,
        vocab_size=vocab_size,
        num_hidden_layers=size.num_layers,
        num_attention_heads=_NUM_HEADS,
        num_key_value_heads=_NUM_HEADS // 2,
    )

    model = LlamaForCausalLM(config)

    return HgCausalLMAdapter(model, max_seq_len=MAX_NUM_TOKENS)


def _without_prompts(data: BuiltIn) -> BuiltIn:
    """Targets alone: what comes before them is the token that begins a text."""

    def bare(pairs: TokenizedPairs) -> TokenizedPairs:
        nothing = torch.empty(0, dtype=torch.int64)

        return replace(pairs, source=[nothing] * len(pairs), prompt=None)

    def read_pool(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], TokenizedPairs]:
        kept, pairs = data.read_pool(rows)

        return kept, bare(pairs)

    return replace(data, read_pool=read_pool, seeds=bare(data.seeds))
