"""The layers of a model that make something of the tokens of a text."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import partial

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.clm import CausalLM
from fairseq2.models.transformer import (
    AttentionBiasCache,
    StandardTransformerEncoder,
    TransformerModel,
)
from fairseq2.models.transformer_lm import StandardTransformerLMDecoder, TransformerLM
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.prompting import prompt_formats, prompt_padding
from fairseq2_jest.embedding.teacher_forcing import neither_kind
from fairseq2_jest.embedding.tokens import SequenceFormat, SequenceFormats, padding_of
from fairseq2_jest.models.causal_lm import CausalParts


class TextStack(ABC):
    """Runs the layers of a model over texts that stand by themselves."""

    dim: int
    """The dimension of a token's output."""

    pad_idx: int
    """What fills a batch up."""

    share: float
    """The share of the layers that are run."""

    @abstractmethod
    def format(self, lang: str) -> SequenceFormat:
        """The special tokens around a text."""

    @abstractmethod
    def __call__(self, seqs: Tensor, layout: BatchLayout) -> Tensor:
        """Runs a padded batch. *Shape:* ``(N, S)`` to ``(N, S, d)``."""


def create_text_stack(
    model: Module, tokenizer: Tokenizer, *, num_layers: int | None = None
) -> TextStack:
    """The encoder of an encoder-decoder model, or the decoder of a language model.

    :param num_layers: How many layers to run; ``None`` for all.

    :raises EmbeddingError: The model is of neither kind or has not that many layers, or the
        tokenizer does not suit it.
    :raises ModelError: It is a decoder-only model whose parts are not known.
    """
    if isinstance(model, TransformerModel):
        return _EncoderStack(model, tokenizer, num_layers)

    if isinstance(model, CausalLM):
        return _DecoderStack(model, tokenizer, num_layers)

    raise neither_kind(model)


class _EncoderStack(TextStack):
    """Each text has its own language's tokens, as a source has."""

    def __init__(
        self, model: TransformerModel, tokenizer: Tokenizer, num_layers: int | None
    ) -> None:
        self._model = model
        self._formats = SequenceFormats(tokenizer)
        self._layers = _FirstLayers(model.encoder, num_layers) if num_layers is not None else None

        self.dim = model.model_dim
        self.pad_idx = padding_of(tokenizer)
        self.share = 1.0 if self._layers is None else self._layers.share

    @override
    def format(self, lang: str) -> SequenceFormat:
        return self._formats.get(lang, "source")

    @override
    def __call__(self, seqs: Tensor, layout: BatchLayout) -> Tensor:
        seqs, layout = self._model.encoder_frontend(seqs, layout)

        if self._layers is not None:
            return self._layers(seqs, layout)

        return self._model.encoder(seqs, layout)


class _DecoderStack(TextStack):
    """Each text begins as a prompt does."""

    def __init__(self, model: CausalLM, tokenizer: Tokenizer, num_layers: int | None) -> None:
        parts = CausalParts(model)

        self._run = parts.hidden

        self._format = SequenceFormat(prefix=prompt_formats(tokenizer)[0].prefix)

        self.dim = parts.dim
        self.pad_idx = prompt_padding(tokenizer)
        self.share = 1.0

        if num_layers is None:
            return

        if not isinstance(model, TransformerLM):
            raise _too_few(num_layers, 0)

        layers = _FirstLayers(model.decoder, num_layers)

        self._run = partial(_run_layers, model, layers)

        self.share = layers.share

    @override
    def format(self, lang: str) -> SequenceFormat:
        return self._format

    @override
    def __call__(self, seqs: Tensor, layout: BatchLayout) -> Tensor:
        return self._run(seqs, layout)


def _run_layers(
    model: TransformerLM, layers: _FirstLayers, seqs: Tensor, layout: BatchLayout
) -> Tensor:
    return layers(*model.decoder_frontend(seqs, layout))


class _FirstLayers:
    """Some layers of a stack, from the first."""

    def __init__(self, stack: Module, num_layers: int) -> None:
        if not isinstance(stack, StandardTransformerEncoder | StandardTransformerLMDecoder):
            raise _too_few(num_layers, 0)

        if not 1 <= num_layers <= len(stack.layers):
            raise _too_few(num_layers, len(stack.layers))

        self._layers = list(stack.layers)[:num_layers]

        # Of a pre-norm stack the norm is what follows the last layer that is run.
        self._norm = stack.layer_norm

        self.share = num_layers / len(stack.layers)

    def __call__(self, seqs: Tensor, layout: BatchLayout) -> Tensor:
        attn_bias_cache = AttentionBiasCache()

        for layer in self._layers:
            seqs = layer(seqs, layout, attn_bias_cache)

        return seqs if self._norm is None else self._norm(seqs)


def _too_few(num_layers: int, found: int) -> EmbeddingError:
    return EmbeddingError(
        f"batch_selector.num_learner_layers is {num_layers}, but the model has {found} layer(s) "
        "that can be run one by one; name as many as that, or set null."
    )
