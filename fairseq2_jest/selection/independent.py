"""Selection one by one: the pairs of highest learnability."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.runtime.dependency import DependencyResolver
from torch import Generator

from fairseq2_jest.selection.learnable import LearnabilityConfig, LearnabilitySelector
from fairseq2_jest.selection.sampling import top_rows
from fairseq2_jest.selection.selector import BatchSelector, Selection, SuperBatch


@dataclass(frozen=True, kw_only=True)
class IndependentConfig(LearnabilityConfig):
    """Configures the selector ``independent``."""


class IndependentSelector(LearnabilitySelector):
    """Takes the pairs of highest ``L_ii``, whatever else is in the batch."""

    def select(self, super_batch: SuperBatch, generator: Generator) -> Selection:
        learnability = self.learnability(super_batch)

        best = top_rows(learnability.diagonal, self.sub_batch_of(super_batch.num_rows))

        return Selection(indices=super_batch.places(best), learnability=learnability.diagonal)


def create_independent_selector(
    resolver: DependencyResolver, config: IndependentConfig
) -> BatchSelector:
    return IndependentSelector(config)
