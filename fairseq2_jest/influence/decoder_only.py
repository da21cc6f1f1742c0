"""Decoder-only models: LLaMA, Mistral, and what transformers has."""

from __future__ import annotations

from collections import defaultdict

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.models.clm import CausalLM
from typing_extensions import override

from fairseq2_jest.embedding.teacher_forcing import PromptForcing
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.forced import ForcedPairModel
from fairseq2_jest.influence.model import Positions, Prediction


class DecoderOnly(ForcedPairModel):
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
        super().__init__(model, PromptForcing(model, tokenizer, device=device), max_num_tokens)

        self._model = model

    @property
    @override
    def max_seq_len(self) -> int:
        return self._model.max_seq_len

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
