"""What `independent` and `joint` have in common: learnability from two weighted views."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from fairseq2.utils.validation import Validatable, ValidationResult
from torch import Tensor

from fairseq2_jest.selection.errors import SelectionError
from fairseq2_jest.selection.learnability import EmbeddedPairs, Learnability
from fairseq2_jest.selection.sampling import sub_batch_size, top_rows
from fairseq2_jest.selection.selector import BatchSelector, SuperBatch

LearnerView: TypeAlias = Literal["similarity", "centred_similarity", "loss", "reducible_loss"]

_SIMILARITIES: Final = ("similarity", "centred_similarity")


@dataclass(frozen=True, kw_only=True)
class LearnabilityConfig(Validatable):
    """How large super-batches are, how much of them is kept, and what learnability is made of."""

    super_batch_size: int = 4000
    """The number of pairs to choose from."""

    filter_ratio: float = 0.9
    """The share of a super-batch that is passed over."""

    learner_weight: float = 0.2
    """The weight of the learner's view. 0 saves its pass."""

    final_learner_weight: float | None = None
    """The learner's weight at the last step, ``None`` for the same throughout. An encoder's view of
    what it has learned may grow more telling as it learns."""

    learner_schedule: Literal["linear", "cosine"] = "linear"
    """How the learner's weight gets there."""

    reference_weight: float = 0.8
    """The weight of the reference's similarity, which counts for a pair."""

    learner_view: LearnerView = "similarity"
    """
    How the learner sees a pair. ``similarity``: the cosine of its encoder's embeddings, which
    counts against a pair that it already aligns (arXiv 2511.04406). ``centred_similarity``: the
    same after each side's mean over the super-batch is taken off, since an encoder's embeddings
    share much that tells nothing. ``loss``: its token loss, which counts for a pair that it
    translates badly (JEST); a pass of encoder and decoder. ``reducible_loss``: the loss less what
    ``reference_model``, trained on trusted pairs, loses on it (RHO-LOSS, arXiv 2206.07137), which
    counts for a pair that can be learned and is not yet.
    """

    shortlist: float = 1.0
    """
    The share of a super-batch, best by reference score, that the learner looks at and the choice is
    made from. 1 is all; at ``1 - filter_ratio`` the reference alone decides.
    """

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.super_batch_size < 1:
            result.add_error(
                f"`super_batch_size` must be at least 1, but is {self.super_batch_size}."
            )
        if not 0.0 <= self.filter_ratio < 1.0:
            result.add_error(f"`filter_ratio` must be in [0, 1), but is {self.filter_ratio}.")

        weights = {
            "learner_weight": self.learner_weight,
            "final_learner_weight": self.last_learner_weight,
            "reference_weight": self.reference_weight,
        }
        for name, weight in weights.items():
            if not 0.0 <= weight < float("inf"):
                result.add_error(
                    f"`{name}` must be a finite number of at least 0, but is {weight}."
                )

        if not 1.0 - self.filter_ratio <= self.shortlist + 1e-9 <= 1.0 + 2e-9:
            result.add_error(
                f"`shortlist` must be in [1 - `filter_ratio`, 1], but is {self.shortlist}."
            )
        if self.shortlist < 1.0 and self.reference_weight == 0.0:
            result.add_error("`shortlist` must be 1 where `reference_weight` is 0.")

        if self.learner_weight == 0.0 and self.reference_weight == 0.0:
            result.add_error("`learner_weight` and `reference_weight` must not both be 0.")
        elif self.last_learner_weight == 0.0 and self.reference_weight == 0.0:
            result.add_error("`final_learner_weight` must not be 0 where `reference_weight` is.")

        return result

    @property
    def last_learner_weight(self) -> float:
        """The learner's weight at the last step."""
        final = self.final_learner_weight

        return self.learner_weight if final is None else final

    @property
    def uses_learner(self) -> bool:
        """Whether the learner's view counts at any step."""
        return self.learner_weight != 0.0 or self.last_learner_weight != 0.0

    def learner_weight_at(self, progress: float) -> float:
        """The learner's weight when a share of the run lies behind."""
        if self.learner_schedule == "cosine":
            progress = 0.5 * (1.0 - math.cos(math.pi * progress))

        # In this form the ends are exact.
        return (1.0 - progress) * self.learner_weight + progress * self.last_learner_weight


class LearnabilitySelector(BatchSelector):
    """The base of selectors that rank pairs by learnability."""

    def __init__(self, config: LearnabilityConfig) -> None:
        self._learnability_config = config

    @property
    def super_batch_size(self) -> int:
        return self._learnability_config.super_batch_size

    @property
    def sub_batch_size(self) -> int:
        return self.sub_batch_of(self.super_batch_size)

    @property
    def needs_learner(self) -> bool:
        config = self._learnability_config

        return config.uses_learner and config.learner_view in _SIMILARITIES

    @property
    def needs_learner_loss(self) -> bool:
        config = self._learnability_config

        return config.uses_learner and config.learner_view not in _SIMILARITIES

    @property
    def needs_reference_loss(self) -> bool:
        config = self._learnability_config

        return config.uses_learner and config.learner_view == "reducible_loss"

    @property
    def needs_reference(self) -> bool:
        return self._learnability_config.reference_weight != 0.0

    def shortlist(self, reference: EmbeddedPairs) -> Tensor | None:
        config = self._learnability_config

        if config.shortlist == 1.0:
            return None

        scores = reference.scores()

        return top_rows(scores, self._shortlist_of(len(scores))).sort().values

    @property
    def shortlist_size(self) -> int:
        return self._shortlist_of(self.super_batch_size)

    def _shortlist_of(self, num_rows: int) -> int:
        share = self._learnability_config.shortlist

        return max(self.sub_batch_of(num_rows), round(num_rows * share))

    def sub_batch_of(self, num_rows: int) -> int:
        """The number of pairs to choose from ``num_rows`` candidates."""
        return sub_batch_size(num_rows, self._learnability_config.filter_ratio)

    def learnability(self, super_batch: SuperBatch) -> Learnability:
        """The learnability of the candidates on the shortlist."""
        config = self._learnability_config

        reference, shortlist = super_batch.reference, super_batch.shortlist

        if reference is not None and shortlist is not None:
            reference = reference.take(shortlist)

        learner = super_batch.learner

        if learner is not None and config.learner_view == "centred_similarity":
            learner = learner.centred()

        return Learnability.of(
            learner,
            reference,
            learner_weight=config.learner_weight_at(super_batch.progress),
            reference_weight=config.reference_weight,
            learner_loss=self._learner_loss(super_batch) if self.needs_learner_loss else None,
        )

    def _learner_loss(self, super_batch: SuperBatch) -> Tensor:
        loss, irreducible = super_batch.learner_loss, super_batch.reference_loss

        if loss is None or (self.needs_reference_loss and irreducible is None):
            raise SelectionError(
                f"learner_weight is {self._learnability_config.learner_weight}, but there are no "
                f"losses."
            )

        return loss - irreducible if irreducible is not None else loss
