"""Pairs going through a model, each token of a target predicted from those before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.models.clm import CausalLM
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.pair_format import EncoderDecoderFormat, PairFormat
from fairseq2_jest.embedding.prompting import PromptFormat, join_responses
from fairseq2_jest.embedding.tokens import TokenizedPairs, layout_of, pad, places_of
from fairseq2_jest.models.causal_lm import CausalParts

NUM_LOGIT_ROWS: Final = 1024
"""Tokens to be projected to the vocabulary at once: all of a batch may be gigabytes."""


@dataclass(frozen=True, kw_only=True)
class ForcedDecoding:
    """What a decoder makes of a padded batch of N pairs, before the projection to the vocabulary.

    Position t of the decoder is given token t of a sequence, and predicts token t + 1.
    """

    output: Tensor
    """*Shape:* ``(N, T, d)``."""

    labels: Tensor
    """The token that each position is to predict. *Shape:* ``(N, T)``."""

    scored: Tensor
    """Which positions predict a token of the target text, or its end; what is given, a prompt or
    the language's token, is not predicted. *Shape:* ``(N, T)``, bool."""

    present: Tensor
    """Which positions are not padding. *Shape:* ``(N, T)``, bool."""

    source_present: Tensor | None = None
    """Which positions of an encoder are not padding. *Shape:* ``(N, S)``, bool."""


class TeacherForcing(ABC):
    """Runs a model over pairs, with the source as it stands."""

    format: PairFormat
    """What the model is given of a pair."""

    head: Module
    """The projection to the vocabulary."""

    vocab_size: int
    """How many tokens it tells apart."""

    @abstractmethod
    def run(self, pairs: TokenizedPairs) -> ForcedDecoding:
        """Runs one batch."""


def create_teacher_forcing(
    model: Module, tokenizer: Tokenizer, *, device: Device
) -> TeacherForcing:
    """What runs a model of either kind.

    :raises EmbeddingError: It is neither kind of model, or the tokenizer does not suit it.
    :raises ModelError: It is a decoder-only model whose parts are not known.
    """
    if isinstance(model, TransformerModel):
        return EncoderDecoderForcing(model, tokenizer, device=device)

    if isinstance(model, CausalLM):
        return PromptForcing(model, tokenizer, device=device)

    raise neither_kind(model)


def neither_kind(model: Module) -> EmbeddingError:
    return EmbeddingError(
        f"The model is a {type(model).__name__}, which is neither an encoder-decoder model nor a "
        "language model; set batch_selector.config.learner_weight to 0, or name a model of the "
        "family nllb, mbart, llama, mistral or hg."
    )


class EncoderDecoderForcing(TeacherForcing):
    """The source goes through the encoder, the target through the decoder."""

    def __init__(self, model: TransformerModel, tokenizer: Tokenizer, *, device: Device) -> None:
        """
        :raises EmbeddingError: The tokenizer has no padding token.
        """
        self._model = model
        self._device = device
        self._format = EncoderDecoderFormat(tokenizer)

        self.format = self._format
        self.head = model.final_proj
        self.vocab_size = model.final_proj.output_dim

    @override
    def run(self, pairs: TokenizedPairs) -> ForcedDecoding:
        model = self._model

        sources, targets = self.format.sequences(pairs)

        source, source_lens = pad(sources, self.format.pad_idx)
        target, target_lens = pad(targets, self.format.pad_idx)

        source, target = source.to(self._device), target.to(self._device)

        input_lens = [length - 1 for length in target_lens]

        seqs, source_layout = model.encoder_frontend(source, layout_of(source, source_lens))

        encoded = model.encoder(seqs, source_layout)

        inputs = target[:, :-1]

        seqs, input_layout = model.decoder_frontend(inputs, unpadded(inputs))

        # The last token of a prefix predicts the first of the text.
        begins = [max(0, length - 1) for length in self._format.prefix_lens(pairs)]

        return ForcedDecoding(
            output=model.decoder(seqs, input_layout, encoded, source_layout),
            labels=target[:, 1:],
            scored=places_of(inputs, input_lens, begins),
            present=places_of(inputs, input_lens),
            source_present=places_of(source, source_lens),
        )


def unpadded(inputs: Tensor) -> BatchLayout:
    """The layout for a decoder: padding is behind a sequence, where none of its positions looks,
    and a mask that says so would be made row by row, and slow attention down."""
    return BatchLayout.of(inputs)


class PromptForcing(TeacherForcing):
    """Prompt and response go through a decoder-only model in one sequence.

    Pairs are those of :class:`~fairseq2_jest.embedding.prompting.PromptTokenizer`.
    """

    def __init__(self, model: CausalLM, tokenizer: Tokenizer, *, device: Device) -> None:
        """
        :raises EmbeddingError: The tokenizer is not one of a language model.
        :raises ModelError: The model's logits cannot be told from its last hidden states.
        """
        self._parts = CausalParts(model)
        self._device = device

        self.format = PromptFormat(tokenizer)
        self.head = self._parts.head
        self.vocab_size = self._parts.vocab_size

    @override
    def run(self, pairs: TokenizedPairs) -> ForcedDecoding:
        prompts, responses = self.format.sequences(pairs)

        batch = join_responses(prompts, responses, pad_idx=self.format.pad_idx, device=self._device)

        inputs, input_lens = batch.inputs, batch.input_lens

        return ForcedDecoding(
            output=self._parts.hidden(inputs, unpadded(inputs)),
            labels=batch.labels,
            scored=batch.scored,
            present=places_of(inputs, input_lens),
        )
