"""A Transformer's decoder, one token at a time for all hypotheses of all sentences of a batch."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final

import torch
from fairseq2.error import NotSupportedError
from fairseq2.models.transformer import (
    AttentionBiasCache,
    AttentionState,
    IdentityBias,
    MultiheadAttention,
    StandardMultiheadAttention,
    StandardTransformerDecoder,
    TransformerModel,
)
from fairseq2.nn import BatchLayout, IncrementalStateBag
from torch import Tensor
from torch.nn import Module
from torch.utils.hooks import RemovableHandle
from typing_extensions import Self

_INCREMENT: Final = 8
"""How many places of keys and values are made at a time."""


def check_decoder(model: TransformerModel) -> None:
    """
    :raises NotSupportedError: The decoder is not one that :class:`BeamDecoder` can hand keys and
        values.
    """
    if not isinstance(model.decoder, StandardTransformerDecoder):
        raise NotSupportedError("The decoder is not fairseq2's standard Transformer decoder.")

    for module in model.modules():
        # What is compiled does not run hooks that come later.
        if getattr(module, "_compiled_call_impl", None) is not None:
            raise NotSupportedError("The model is compiled.")

    for module in model.decoder.modules():
        if not isinstance(module, MultiheadAttention):
            continue

        if not isinstance(module, StandardMultiheadAttention) or module.pos_encoder is not None:
            raise NotSupportedError("An attention of the decoder has relative positions.")


class BeamDecoder:
    """Decodes ``N`` sentences with ``B`` hypotheses each, as ``N x B`` rows, sentence by sentence.

    fairseq2's own incremental decoding treats each row as a sentence of its own: keys, values and
    padding mask of the source are there ``B`` times, the mask is made row by row in Python at each
    step, and so is a layout in each layer. Here the hypotheses of a sentence attend to its source
    together, as if they were a sequence of ``B`` places, and mask and layouts are kept.

    The first pass is fairseq2's own. Behind it, hooks on the attention modules of the decoder hand
    them their keys and values; they are gone when the context is left.
    """

    def __init__(self, model: TransformerModel, beam_size: int, max_seq_len: int) -> None:
        self._model = model
        self._beam_size = beam_size
        self._state_bag = IncrementalStateBag(max_seq_len)
        self._self_attns: list[_OwnAttention] = []
        self._cross_attns: list[_SourceAttention] = []
        self._handles: list[RemovableHandle] = []
        self._layout: BatchLayout | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def prefill(self, source: Tensor, source_layout: BatchLayout, prompts: Tensor) -> Tensor:
        """Encodes the sources and decodes the prompts.

        :param source: *Shape:* ``(N, S)``
        :param prompts: *Shape:* ``(N, P)``

        :returns: The logits of each place. *Shape:* ``(N, P, V)``
        """
        logits = self._model(
            source, source_layout, prompts, BatchLayout.of(prompts), state_bag=self._state_bag
        )

        self._state_bag.increment_step_nr(prompts.size(1))

        self._source, self._source_layout = source, source_layout

        self._attach(source_layout)

        return logits

    def decode(self, tokens: Tensor) -> Tensor:
        """Takes one more token of each hypothesis.

        :param tokens: *Shape:* ``(N x B)``

        :returns: The logits of the next. *Shape:* ``(N x B, V)``
        """
        seqs = tokens.unsqueeze(1)

        if self._layout is None:
            self._layout = BatchLayout.of(seqs)

        logits = self._model(
            self._source, self._source_layout, seqs, self._layout, state_bag=self._state_bag
        )

        self._state_bag.increment_step_nr()

        return logits.squeeze(1)

    def reorder(self, rows: Tensor, sentences: Tensor | None) -> None:
        """Goes on with other hypotheses.

        :param rows: The hypotheses to go on with, by their rows. *Shape:* ``(N' x B)``
        :param sentences: The sentences that they belong to, ``None`` if to all as before.
            *Shape:* ``(N')``
        """
        for own in self._self_attns:
            own.reorder(rows)

        if sentences is None:
            return

        self._layout = None

        self._shared.select(sentences)

        for cross in self._cross_attns:
            cross.select(sentences)

    def _attach(self, source_layout: BatchLayout) -> None:
        self._shared = _SharedSource(source_layout, self._beam_size)

        layers: Any = self._model.decoder.layers

        for layer in layers:
            own = _OwnAttention(self._state_of(layer.self_attn))
            cross = _SourceAttention(self._state_of(layer.encoder_decoder_attn), self._shared)

            self._handles += [
                _register(layer.self_attn, own.before),
                _register(layer.encoder_decoder_attn, cross.before),
                layer.encoder_decoder_attn.register_forward_hook(cross.after),
            ]

            self._self_attns.append(own)
            self._cross_attns.append(cross)

    def _state_of(self, module: Module) -> tuple[Tensor, Tensor]:
        """The keys and values of the first pass."""
        state = self._state_bag.maybe_get_state(module, AttentionState)

        if state is None:
            raise NotSupportedError("The decoder keeps no keys and values of its own.")

        return state.get()


def _register(module: Module, hook: Any) -> RemovableHandle:
    return module.register_forward_pre_hook(hook, with_kwargs=True)


class _OwnAttention:
    """The self attention of a layer: keys and values of the hypotheses so far."""

    def __init__(self, state: tuple[Tensor, Tensor]) -> None:
        keys, values = state

        self._len = keys.size(1)

        # *Shape:* (rows, capacity, 2, H, K); together, to be reordered at once.
        self._past = torch.stack([keys, values], dim=2)

    def reorder(self, rows: Tensor) -> None:
        self._past = self._past.index_select(0, rows)

    def before(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        seqs, _ = args

        keys = module.k_proj(seqs).unflatten(-1, (-1, module.head_dim))
        values = module.v_proj(seqs).unflatten(-1, (-1, module.head_dim))

        if module.k_norm is not None:
            keys = module.k_norm(keys)
        if module.v_norm is not None:
            values = module.v_norm(values)

        if self._len == self._past.size(1):
            more = self._past.new_empty((len(seqs), _INCREMENT, *self._past.shape[2:]))

            self._past = torch.cat([self._past, more], dim=1)

        past, place = self._past, self._len

        past[:, place, 0] = keys.squeeze(1)
        past[:, place, 1] = values.squeeze(1)

        self._len += 1

        # A single query needs no mask, so that the layout of the keys is not looked at.
        kwargs["pre_computed_kv"] = past[:, : self._len, 0], past[:, : self._len, 1]

        return args, kwargs


class _SharedSource:
    """What the layers share of the source: layouts and the mask of its padding."""

    def __init__(self, layout: BatchLayout, beam_size: int) -> None:
        self._lens = layout.seq_lens_pt
        self._width = layout.width
        self._beam_size = beam_size
        self._make(list(layout.seq_lens))

    def _make(self, lens: list[int]) -> None:
        device = self._lens.device

        self.keys_layout = BatchLayout((len(lens), self._width), lens, device=device)
        self.queries_layout = BatchLayout((len(lens), self._beam_size), None, device=device)
        self.bias_cache = AttentionBiasCache()

    def select(self, sentences: Tensor) -> None:
        self._lens = self._lens.index_select(0, sentences)

        self._make(self._lens.tolist())

    def mask(self, dtype: torch.dtype) -> None:
        """Puts the mask where the attention looks for it, which would make it row by row."""
        if not self.keys_layout.padded:
            return

        if self.bias_cache.maybe_get(IdentityBias(), "tensor", Tensor) is not None:
            return

        places = torch.arange(self._width, device=self._lens.device)

        mask = torch.zeros((len(self._lens), 1, 1, self._width), dtype=dtype, device=places.device)

        mask.masked_fill_((places >= self._lens[:, None])[:, None, None], -torch.inf)

        self.bias_cache.set(IdentityBias(), "tensor", mask)


class _SourceAttention:
    """The encoder-decoder attention of a layer: keys and values once for each sentence."""

    def __init__(self, state: tuple[Tensor, Tensor], shared: _SharedSource) -> None:
        self._keys, self._values = state
        self._shared = shared

    def select(self, sentences: Tensor) -> None:
        self._keys = self._keys.index_select(0, sentences)
        self._values = self._values.index_select(0, sentences)

    def before(
        self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        shared = self._shared

        seqs = args[0].view(len(self._keys), -1, args[0].size(-1))

        shared.mask(self._keys.dtype)

        kwargs |= {
            "keys_layout": shared.keys_layout,
            "bias_cache": shared.bias_cache,
            "pre_computed_kv": (self._keys, self._values),
        }

        return (seqs, shared.queries_layout), kwargs

    def after(self, module: Module, args: Any, output: Tensor) -> Tensor:
        return output.flatten(0, 1).unsqueeze(1)
