"""What every batch selector offers; the component that a recipe names as `batch_selector`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Generator, Tensor

from fairseq2_jest.selection.learnability import EmbeddedPairs


@dataclass(frozen=True, kw_only=True)
class SuperBatch:
    """What a selector sees of the candidates: embeddings, never texts."""

    num_rows: int
    """The number of candidates, N."""

    reference: EmbeddedPairs | None = None
    """The reference's view; ``None`` for a selector that does not ask for it."""

    shortlist: Tensor | None = None
    """The places of the M candidates that the learner looked at, int64; ``None`` for all N."""

    learner: EmbeddedPairs | None = None
    """The learner's view of the M; ``None`` for a selector that does not ask for it."""

    learner_loss: Tensor | None = None
    """The learner's loss of the M in units of ``ln V``, likewise. *Shape:* ``(M)``."""

    reference_loss: Tensor | None = None
    """The reference model's loss of the M in the same units, likewise. *Shape:* ``(M)``."""

    progress: float = 0.0
    """How much of the run lies behind, from 0 at its first step to 1 at its last."""

    def places(self, listed: Tensor) -> Tensor:
        """The places in the super-batch of candidates given by their places in the shortlist."""
        return listed if self.shortlist is None else self.shortlist[listed]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The sub-batch."""

    indices: Tensor
    """Places in the super-batch, int64, in the order they were chosen."""

    temperature: float | None = None
    """The temperature of the draws, averaged over the chunks; ``None`` where nothing is drawn."""

    learnability: Tensor | None = None
    """How learnable the candidates on the shortlist are by themselves, where the selector says so.
    *Shape:* ``(M)``."""

    support: float | None = None
    """The effective support of the draws in rows, averaged over the chunks."""


class BatchSelector(ABC):
    """Chooses, from each super-batch, the sub-batch that a training step learns from.

    Register one of your own with ``fairseq2.recipe.component.register_component(container,
    BatchSelector, name, config_kls, factory)``, and name it in the configuration.
    """

    @property
    @abstractmethod
    def super_batch_size(self) -> int:
        """The number of pairs to choose from."""

    @property
    @abstractmethod
    def sub_batch_size(self) -> int:
        """The number of pairs chosen from a full super-batch."""

    @property
    def needs_learner(self) -> bool:
        """Whether super-batches must carry the learner's embeddings (an encoder pass each)."""
        return False

    @property
    def needs_learner_loss(self) -> bool:
        """Whether super-batches must carry the learner's loss (a pass of the whole model each)."""
        return False

    @property
    def needs_reference(self) -> bool:
        """Whether super-batches must carry the reference's embeddings."""
        return False

    @property
    def needs_reference_loss(self) -> bool:
        """Whether super-batches must carry the reference model's loss."""
        return False

    @property
    def shortlist_size(self) -> int:
        """The number of pairs on the shortlist of a full super-batch."""
        return self.super_batch_size

    @property
    def draws(self) -> bool:
        """Whether selections report a temperature and a support, which are then published."""
        return False

    def shortlist(self, reference: EmbeddedPairs) -> Tensor | None:
        """The places of the candidates that are worth the learner's pass; ``None`` for all."""
        return None

    @abstractmethod
    def select(self, super_batch: SuperBatch, generator: Generator) -> Selection:
        """Chooses from ``super_batch``, a pure function of it and the generator's state.

        :raises SelectionError: An embedding is missing or not finite.
        """
