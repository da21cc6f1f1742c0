"""The learner's view of a sentence: the encoder of the model that is being trained."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.transformer import (
    AttentionBiasCache,
    StandardTransformerEncoder,
    TransformerModel,
)
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import normalize

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.tokens import (
    SequenceFormats,
    TokenizedPairs,
    layout_of,
    pad,
    padding_of,
)


class LearnerEncoder:
    """Embeds texts with the encoder of a model in training.

    Both sides go through the *encoder*, the target side with its own language's token in source
    mode. An embedding is the masked mean of the encoder's output over the tokens of the text
    (special tokens left out), L2-normalised in fp32. (arXiv 2511.04406 does not publish its
    pooling; this is our reading.) How the model is run, see :class:`ForwardPass`.
    """

    def __init__(
        self,
        forward_pass: ForwardPass,
        tokenizer: Tokenizer,
        *,
        num_layers: int | None = None,
    ) -> None:
        """
        :param num_layers: How many of the encoder's layers to run; ``None`` for all.

        :raises EmbeddingError: The model has no encoder or not that many layers, or the tokenizer
            no padding token.
        """
        self._model = encoder_decoder(forward_pass.model)
        self._pad_idx = padding_of(tokenizer)
        self._formats = SequenceFormats(tokenizer)
        self._device = forward_pass.device
        self._layers = None if num_layers is None else _first_layers(self._model, num_layers)
        self._pass = forward_pass

    @property
    def dim(self) -> int:
        """The dimension of an embedding."""
        return self._model.model_dim

    @property
    def share_of_encoder(self) -> float:
        """The share of the encoder's layers that are run."""
        if self._layers is None:
            return 1.0

        return len(self._layers) / len(self._model.encoder.layers)

    def encode_source(self, pairs: TokenizedPairs) -> Tensor:
        """Embeds the source side. *Shape of the result:* ``(N, d)``, fp32, on the device."""
        return self._encode(pairs.source, pairs.source_langs)

    def encode_target(self, pairs: TokenizedPairs) -> Tensor:
        """Embeds the target side. *Shape of the result:* ``(N, d)``, fp32, on the device."""
        return self._encode(pairs.target, pairs.target_langs)

    def num_tokens(self, pairs: TokenizedPairs) -> int:
        """The tokens that embedding both sides takes through the encoder, padding left out."""
        sides = ((pairs.source, pairs.source_langs), (pairs.target, pairs.target_langs))

        return sum(sum(self._formats.lengths(*side, "source")) for side in sides)

    def _encode(self, bodies: Sequence[Tensor], langs: Sequence[str]) -> Tensor:
        sequences = self._formats.sequences(bodies, langs, "source")

        begins = torch.tensor([len(self._formats.get(lang, "source").prefix) for lang in langs])
        ends = begins + torch.tensor([len(body) for body in bodies])

        def pool(batch: list[int]) -> Tensor:
            seqs, seq_lens = pad([sequences[i] for i in batch], self._pad_idx)

            places = torch.arange(seqs.size(1))

            mask = (places >= begins[batch, None]) & (places < ends[batch, None])
            mask = mask.float().unsqueeze(2).to(self._device)

            seqs = seqs.to(self._device)

            output = self._encoder_output(seqs, layout_of(seqs, seq_lens)).float()

            return (output * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)

        embeddings = torch.empty((len(sequences), self.dim), device=self._device)

        self._pass.run([len(sequence) for sequence in sequences], pool, embeddings)

        return normalize(embeddings, dim=1)

    def _encoder_output(self, seqs: Tensor, layout: BatchLayout) -> Tensor:
        encoder = self._model.encoder

        output: Tensor
        output, layout = self._model.encoder_frontend(seqs, layout)

        if self._layers is None:
            return encoder(output, layout)

        attn_bias_cache = AttentionBiasCache()

        for layer in self._layers:
            output = layer(output, layout, attn_bias_cache)

        # Only such an encoder is cut.
        assert isinstance(encoder, StandardTransformerEncoder)

        # Of a pre-norm encoder the norm is what follows the last layer that is run.
        return output if encoder.layer_norm is None else encoder.layer_norm(output)


def encoder_decoder(model: Module) -> TransformerModel:
    """
    :raises EmbeddingError: The model is no encoder-decoder model.
    """
    if not isinstance(model, TransformerModel):
        raise EmbeddingError(
            f"The learner's view needs an encoder-decoder model, but the model is a "
            f"{type(model).__name__}; set batch_selector.config.learner_weight to 0, or choose "
            f"another model."
        )

    return model


def _first_layers(model: TransformerModel, num_layers: int) -> list[Module]:
    encoder = model.encoder

    if not isinstance(encoder, StandardTransformerEncoder) or not (
        1 <= num_layers <= len(encoder.layers)
    ):
        raise EmbeddingError(
            f"batch_selector.num_learner_layers is {num_layers}, but the model's encoder has "
            f"{len(encoder.layers)} layer(s) that can be run "
            f"one by one; name as many as that, or set null."
        )

    return list(encoder.layers)[:num_layers]
