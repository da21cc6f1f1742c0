"""The learner's view of a sentence: the encoder of the model that is being trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Final

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.gang import Gang, ReduceOperation
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.nn import Module
from torch.nn.functional import normalize

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.tokens import (
    SequenceFormats,
    TokenizedPairs,
    batches_by_length,
    layout_of,
    pad,
)

_FSDP_METHOD: Final = "encode_for_selection"


class LearnerEncoder:
    """Embeds texts with the encoder of a model in training.

    Both sides go through the *encoder*, the target side with its own language's token in source
    mode. An embedding is the masked mean of the encoder's output over the tokens of the text
    (special tokens left out), L2-normalised in fp32. (arXiv 2511.04406 does not publish its
    pooling; this is our reading.) Dropout is off, no gradient is kept, and every module's mode is
    restored.

    Under FSDP2 an embedding is a collective: all ranks call it together, each with its own texts.
    """

    def __init__(
        self,
        model: Module,
        tokenizer: Tokenizer,
        *,
        device: Device,
        max_num_tokens: int,
        autocast_dtype: torch.dtype | None = None,
        gang: Gang | None = None,
    ) -> None:
        """
        :param model: The bare model, not its data parallel wrapper.
        :param max_num_tokens: The most tokens in a forward pass, padding included.
        :param autocast_dtype: The dtype of the run's mixed precision, ``None`` where it has none.
        :param gang: The ranks among which FSDP shards the model.

        :raises EmbeddingError: The model has no encoder, or the tokenizer no padding token.
        """
        if not isinstance(model, TransformerModel):
            raise EmbeddingError(
                f"The learner's view needs an encoder-decoder model, but the model is a "
                f"{type(model).__name__}; set batch_selector.config.learner_weight to 0, or choose "
                f"another model."
            )

        pad_idx = tokenizer.vocab_info.pad_idx
        if pad_idx is None:
            raise EmbeddingError("The tokenizer has no padding token, which batches need.")

        self._model = model
        self._formats = SequenceFormats(tokenizer)
        self._pad_idx = pad_idx
        self._device = device
        self._max_num_tokens = max_num_tokens
        self._autocast_dtype = autocast_dtype
        self._gang = gang

    @property
    def dim(self) -> int:
        """The dimension of an embedding."""
        return self._model.model_dim

    def encode_source(self, pairs: TokenizedPairs) -> Tensor:
        """Embeds the source side. *Shape of the result:* ``(N, d)``, fp32, on the device."""
        return self._encode(pairs.source, pairs.source_langs)

    def encode_target(self, pairs: TokenizedPairs) -> Tensor:
        """Embeds the target side. *Shape of the result:* ``(N, d)``, fp32, on the device."""
        return self._encode(pairs.target, pairs.target_langs)

    def num_tokens(self, pairs: TokenizedPairs) -> int:
        """The tokens that embedding both sides takes through the encoder, padding left out."""
        sides = ((pairs.source, pairs.source_langs), (pairs.target, pairs.target_langs))

        return sum(
            len(body) + self._formats.get(lang, "source").num_special
            for bodies, langs in sides
            for body, lang in zip(bodies, langs, strict=True)
        )

    @torch.no_grad()
    def _encode(self, bodies: Sequence[Tensor], langs: Sequence[str]) -> Tensor:
        formats = [self._formats.get(lang, "source") for lang in langs]

        sequences = [form(body) for form, body in zip(formats, bodies, strict=True)]

        embeddings = torch.empty((len(sequences), self.dim), device=self._device)

        begins = torch.tensor([len(form.prefix) for form in formats])
        ends = begins + torch.tensor([len(body) for body in bodies])

        batches = list(
            batches_by_length([len(sequence) for sequence in sequences], self._max_num_tokens)
        )

        num_passes = self._num_passes(len(batches))

        with _evaluating(self._model), self._autocast():
            for batch in batches:
                seqs, seq_lens = pad([sequences[i] for i in batch], self._pad_idx)

                places = torch.arange(seqs.size(1))

                mask = (places >= begins[batch, None]) & (places < ends[batch, None])

                embeddings[batch] = self._pool(seqs.to(self._device), seq_lens, mask.float())

            for _ in range(num_passes - len(batches)):
                self._encoder_output(torch.zeros((1, 1), dtype=torch.int64, device=self._device))

        return normalize(embeddings, dim=1)

    def _num_passes(self, num_batches: int) -> int:
        """How many passes all ranks make: under FSDP a pass of one is a pass of all."""
        if self._gang is None or not isinstance(self._model, FSDPModule):
            return num_batches

        mine = torch.tensor(num_batches, device=self._gang.device)

        self._gang.all_reduce(mine, ReduceOperation.MAX)

        return int(mine)

    def _pool(self, seqs: Tensor, seq_lens: Sequence[int], mask: Tensor) -> Tensor:
        output = self._encoder_output(seqs, layout_of(seqs, seq_lens))

        mask = mask.to(self._device).unsqueeze(2)

        return (output.float() * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)

    def _encoder_output(self, seqs: Tensor, layout: BatchLayout | None = None) -> Tensor:
        layout = layout or BatchLayout.of(seqs)

        if not isinstance(self._model, FSDPModule):
            return _encode(self._model, seqs, layout)

        # Only a forward method of the root gathers what FSDP keeps there; the model is wrapped
        # after this object is made.
        if not hasattr(self._model, _FSDP_METHOD):
            setattr(self._model, _FSDP_METHOD, partial(_encode, self._model))

            register_fsdp_forward_method(self._model, _FSDP_METHOD)

        output: Tensor = getattr(self._model, _FSDP_METHOD)(seqs, layout)

        return output

    def _autocast(self) -> torch.autocast | nullcontext[None]:
        if self._autocast_dtype is None or self._autocast_dtype == torch.float32:
            return nullcontext()

        return torch.autocast(device_type=self._device.type, dtype=self._autocast_dtype)


def _encode(model: TransformerModel, seqs: Tensor, layout: BatchLayout) -> Tensor:
    output: Tensor = model.encoder(*model.encoder_frontend(seqs, layout))

    return output


@contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Puts a model in eval mode; afterwards each module has the mode it had before."""
    training = [module for module in model.modules() if module.training]

    model.eval()

    try:
        yield
    finally:
        for module in training:
            module.training = True
