"""Attention masks of padded batches, made at once instead of sequence by sequence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from fairseq2.models.transformer import (
    AttentionBiasCache,
    CausalAttentionBias,
    IdentityBias,
    StandardTransformerDecoder,
    StandardTransformerEncoder,
    TorchSDPA,
)
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn import Module


@contextmanager
def batched_padding_masks(model: Module) -> Iterator[None]:
    """Within it, passes of an encoder-decoder model without gradient spare a loop over sequences.

    fairseq2 0.8 builds the mask of a padded batch with a handful of small kernels for each of its
    sequences: tens of thousands for a super-batch. (On a CPU that is a quarter of the pass of one
    layer of 32, and lost in the noise from 256 on; on a GPU, where each is a launch, it has not
    been measured.) Here the cache that a stack's layers share is given a mask made in one go before
    the first layer looks into it. It hides the same keys from every token of a text; what comes out
    at padding differs, and is nobody's business. Layers whose attention is not torch's, plain or
    causal, make their masks as ever.
    """
    handles = []

    encoder, decoder = getattr(model, "encoder", None), getattr(model, "decoder", None)

    if isinstance(encoder, StandardTransformerEncoder):
        handles.append(encoder.layers[0].register_forward_pre_hook(_before_encoder_layer))

    if isinstance(decoder, StandardTransformerDecoder):
        handles.append(decoder.layers[0].register_forward_pre_hook(_before_decoder_layer))

    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _before_encoder_layer(layer: Module, args: tuple[Any, ...]) -> None:
    _, layout, cache = args

    _put_padding_mask(layer, "self_attn", layout, cache)


def _before_decoder_layer(layer: Module, args: tuple[Any, ...]) -> None:
    seqs, layout, _, encoder_layout, cache = args

    _put_padding_mask(layer, "encoder_decoder_attn", encoder_layout, cache)

    bias = _bias_of(layer, "self_attn")

    # What follows a token is hidden from it, hence the padding is.
    if isinstance(bias, CausalAttentionBias) and bias.attn_window_len is None and layout.padded:
        mask = torch.ones((layout.width, layout.width), dtype=torch.bool, device=seqs.device)

        cache.set(bias, "tensor", mask.tril_())


def _put_padding_mask(
    layer: Module, attention: str, layout: BatchLayout, cache: AttentionBiasCache
) -> None:
    bias = _bias_of(layer, attention)

    if not isinstance(bias, IdentityBias) or layout.packed:
        return

    cache.set(bias, "tensor", padding_mask(layout))


def padding_mask(layout: BatchLayout) -> Tensor:
    """Which keys a token may attend to. *Shape of the result:* ``(N, 1, 1, S)``, bool."""
    lengths = layout.seq_lens_pt

    places = torch.arange(layout.width, device=lengths.device)

    return (places < lengths[:, None])[:, None, None, :]


def _bias_of(layer: Module, attention: str) -> object:
    """What fairseq2 hides in an attention, where torch's function computes it; else ``None``."""
    sdpa = getattr(getattr(layer, attention, None), "sdpa", None)

    return sdpa.bias if isinstance(sdpa, TorchSDPA) else None
