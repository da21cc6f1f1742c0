"""What `independent` and `joint` have in common: learnability from two weighted views."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.utils.validation import Validatable, ValidationResult

from fairseq2_jest.selection.learnability import Learnability
from fairseq2_jest.selection.selector import BatchSelector, SuperBatch


@dataclass(frozen=True, kw_only=True)
class LearnabilityConfig(Validatable):
    """How large super-batches are, how much of them is kept, and what learnability is made of."""

    super_batch_size: int = 4000
    """The number of pairs to choose from."""

    filter_ratio: float = 0.9
    """The share of a super-batch that is passed over."""

    learner_weight: float = 0.2
    """The weight of the learner's similarity, which counts against a pair. 0 saves its pass."""

    reference_weight: float = 0.8
    """The weight of the reference's similarity, which counts for a pair."""

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
            "reference_weight": self.reference_weight,
        }
        for name, weight in weights.items():
            if not 0.0 <= weight < float("inf"):
                result.add_error(
                    f"`{name}` must be a finite number of at least 0, but is {weight}."
                )

        if self.learner_weight == 0.0 and self.reference_weight == 0.0:
            result.add_error("`learner_weight` and `reference_weight` must not both be 0.")

        return result


class LearnabilitySelector(BatchSelector):
    """The base of selectors that rank pairs by learnability."""

    def __init__(self, config: LearnabilityConfig) -> None:
        self._learnability_config = config

    @property
    def super_batch_size(self) -> int:
        return self._learnability_config.super_batch_size

    @property
    def sub_batch_size(self) -> int:
        config = self._learnability_config

        return max(1, round(config.super_batch_size * (1.0 - config.filter_ratio)))

    @property
    def needs_learner(self) -> bool:
        return self._learnability_config.learner_weight != 0.0

    @property
    def needs_reference(self) -> bool:
        return self._learnability_config.reference_weight != 0.0

    def learnability(self, super_batch: SuperBatch) -> Learnability:
        config = self._learnability_config

        return Learnability.of(
            super_batch.learner,
            super_batch.reference,
            learner_weight=config.learner_weight,
            reference_weight=config.reference_weight,
        )
