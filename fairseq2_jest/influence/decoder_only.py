"""Decoder-only models: LLaMA, Mistral, and what transformers has."""

from __future__ import annotations

from collections import defaultdict

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.models.clm import CausalLM
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.embedding.teacher_forcing import PromptForcing
from fairseq2_jest.embedding.tokens import TokenizedPairs, batches_by_length
from fairseq2_jest.influence.model import PairModel, Positions, Prediction


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
        self._forcing = PromptForcing(model, tokenizer, device=device)
        self._max_num_tokens = max_num_tokens

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
        return self._forcing.vocab_size

    @property
    @override
    def head(self) -> Module:
        return self._forcing.head

    @override
    def batches(self, pairs: TokenizedPairs) -> list[list[int]]:
        lengths = self._forcing.format.pass_lengths(pairs)

        return list(batches_by_length(lengths, self._max_num_tokens))

    @override
    def predict(self, pairs: TokenizedPairs) -> Prediction:
        forced = self._forcing.run(pairs)

        positions = Positions(present=forced.present, counted=forced.scored)

        return Prediction(
            hidden=forced.output[forced.scored],
            labels=forced.labels[forced.scored],
            pairs=forced.scored.nonzero()[:, 0],
            # All layers work on the same, whatever they are called.
            positions=defaultdict(lambda: positions),
        )
