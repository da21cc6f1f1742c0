"""What influence needs to know of a model: how pairs go through it, and which tokens it predicts.

One class per kind of model: :mod:`~fairseq2_jest.influence.encoder_decoder` has NLLB's and mBART's,
:mod:`~fairseq2_jest.influence.decoder_only` those of language models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import Module

from fairseq2_jest.embedding.tokens import TokenizedPairs


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
    """By the first part of a layer's name, such as ``encoder``."""


class PairModel(ABC):
    """A translation model, as far as gradients of pairs are concerned."""

    @property
    @abstractmethod
    def module(self) -> Module:
        """The bare model."""

    @property
    @abstractmethod
    def max_seq_len(self) -> int:
        """The most tokens that a sequence may have."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """How many tokens it knows."""

    @property
    @abstractmethod
    def head(self) -> Module:
        """Takes :attr:`Prediction.hidden` to logits ``(T, V)``."""

    @abstractmethod
    def batches(self, pairs: TokenizedPairs) -> list[list[int]]:
        """Groups N pairs into batches that fit into memory; all of them, each once."""

    @abstractmethod
    def predict(self, pairs: TokenizedPairs) -> Prediction:
        """Runs the model over one batch, up to its head."""
