"""What influence needs to know of a model: how pairs go through, and which tokens it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import Device
from fairseq2.models.clm import CausalLM
from fairseq2.models.transformer import TransformerModel
from torch import Tensor
from torch.nn import Module

from fairseq2_jest.embedding.teacher_forcing import create_teacher_forcing
from fairseq2_jest.embedding.tokens import TokenizedPairs, batches_by_length
from fairseq2_jest.influence.errors import InfluenceError


@dataclass(frozen=True, kw_only=True)
class Positions:
    """The positions of a padded batch that a stack of layers works on."""

    present: Tensor
    """Which are not padding. *Shape:* ``(N, S)``, bool."""

    counted: Tensor
    """Which are neither padding nor prompt: these the curvature is made of. *Shape:* ``(N, S)``."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A forward pass of N pairs up to the vocabulary, T tokens of which are to be predicted.

    Tokens are in the order of pairs, and of positions within a pair.
    """

    hidden: Tensor
    """What the head sees. *Shape:* ``(T, d)``, with a graph down to the lowest tracked layer."""

    labels: Tensor
    """The tokens that should be predicted: the response, its end included. *Shape:* ``(T)``."""

    pairs: Tensor
    """Which of the N pairs a token belongs to. *Shape:* ``(T)``."""

    positions: Mapping[str, Positions]
    """By :attr:`TrackedLayer.stack`."""


class PairModel:
    """A translation model of either kind, as far as gradients of pairs are concerned."""

    def __init__(
        self, model: Module, tokenizer: Tokenizer, *, device: Device, max_num_tokens: int
    ) -> None:
        """
        :param max_num_tokens: The most tokens in a batch, padding included: of a side for an
            encoder-decoder model, of prompt and response together for a decoder-only one.

        :raises EmbeddingError: The tokenizer does not suit the model.
        :raises InfluenceError: It is neither kind of model.
        :raises ModelError: It is a decoder-only model whose parts are not known.
        """
        if not isinstance(model, TransformerModel | CausalLM):
            raise InfluenceError(
                f"The model is a {type(model).__name__}, which is neither an encoder-decoder model "
                "nor a language model; name one of the family nllb, mbart, llama, mistral or hg."
            )

        self._forcing = create_teacher_forcing(model, tokenizer, device=device)
        self._max_num_tokens = max_num_tokens

        self.module: Module = model
        """The bare model."""

        self.head = self._forcing.head
        """Takes :attr:`Prediction.hidden` to logits ``(T, V)``."""

    def batches(self, pairs: TokenizedPairs) -> list[list[int]]:
        """Groups N pairs into batches that fit into memory; all of them, each once."""
        lengths = self._forcing.format.pass_lengths(pairs)

        return list(batches_by_length(lengths, self._max_num_tokens))

    def predict(self, pairs: TokenizedPairs) -> Prediction:
        """Runs the model over one batch, up to its head."""
        forced = self._forcing.run(pairs)

        scored, source = forced.scored, forced.source_present

        positions = {"decoder": Positions(present=forced.present, counted=scored)}

        if source is not None:
            positions["encoder"] = Positions(present=source, counted=source)

        return Prediction(
            hidden=forced.output[scored],
            labels=forced.labels[scored],
            pairs=scored.nonzero()[:, 0],
            positions=positions,
        )
