"""Decoder-only models: LLaMA, Mistral, and what transformers has."""

from __future__ import annotations

from collections import defaultdict

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.models.clm import CausalLM
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.embedding.prompting import PromptFormat
from fairseq2_jest.embedding.tokens import (
    TokenizedPairs,
    batches_by_length,
    layout_of,
    pad,
    places_of,
)
from fairseq2_jest.influence.model import PairModel, Positions, Prediction
from fairseq2_jest.models.causal_lm import CausalParts


class DecoderOnly(PairModel):
    """Prompt and response in one sequence; only the response, its end included, is predicted.

    Pairs are those of :class:`~fairseq2_jest.embedding.prompting.PromptTokenizer`.
    """

    def __init__(
        self, model: CausalLM, tokenizer: Tokenizer, *, device: Device, max_num_tokens: int
    ) -> None:
        """
        :param max_num_tokens: The most tokens in a batch, padding included.

        :raises EmbeddingError: The tokenizer is not one of a language model.
        :raises ModelError: The model's logits cannot be told from its last hidden states.
        """
        self._model = model
        self._parts = CausalParts(model)
        self._format = PromptFormat(tokenizer)
        self._device = device
        self._max_num_tokens = max_num_tokens

        # No token sees those behind it, so that any will do.
        self._pad_idx = tokenizer.vocab_info.pad_idx or 0

    @property
    @override
    def module(self) -> Module:
        return self._model

    @property
    @override
    def max_seq_len(self) -> int:
        return self._model.max_seq_len

    @property
    @override
    def vocab_size(self) -> int:
        return self._parts.vocab_size

    @property
    @override
    def head(self) -> Module:
        return self._parts.head

    @override
    def batches(self, pairs: TokenizedPairs) -> list[list[int]]:
        return list(batches_by_length(self._format.lengths(pairs), self._max_num_tokens))

    @override
    def predict(self, pairs: TokenizedPairs) -> Prediction:
        seqs, lengths = pad(self._format.sequences(pairs), self._pad_idx)

        seqs = seqs.to(self._device)

        # Position t predicts token t + 1: the last of the prompt the first of the response.
        inputs, input_lens = seqs[:, :-1], [length - 1 for length in lengths]

        begins = [length - 1 for length in self._format.prompt_lens(pairs)]

        scored = places_of(inputs, input_lens, begins)

        hidden = self._parts.hidden(inputs, layout_of(inputs, input_lens))

        positions = Positions(present=places_of(inputs, input_lens), counted=scored)

        return Prediction(
            hidden=hidden[scored],
            labels=seqs[:, 1:][scored],
            pairs=scored.nonzero()[:, 0],
            # All layers work on the same, whatever they are called.
            positions=defaultdict(lambda: positions),
        )
