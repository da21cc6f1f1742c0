"""Selection one by one: the pairs of highest learnability."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.runtime.dependency import DependencyResolver
from torch import Generator

from fairseq2_jest.selection.learnable import LearnabilityConfig, LearnabilitySelector
from fairseq2_jest.selection.sampling import chunk_sizes, top_rows
from fairseq2_jest.selection.selector import BatchSelector, Selection, SuperBatch


@dataclass(frozen=True, kw_only=True)
class IndependentConfig(LearnabilityConfig):
    """Configures the selector ``independent``."""


class IndependentSelector(LearnabilitySelector):
    """Takes the pairs of highest ``L_ii``, whatever else is in the batch."""

    def __init__(self, config: IndependentConfig) -> None:
        super().__init__(config)

        self._filter_ratio = config.filter_ratio

    def select(self, super_batch: SuperBatch, generator: Generator) -> Selection:
        learnability = self.learnability(super_batch)

        (num_chosen,) = chunk_sizes(len(learnability), self._filter_ratio, num_chunks=1)

        return Selection(indices=top_rows(learnability.diagonal, num_chosen))


def create_independent_selector(
    resolver: DependencyResolver, config: IndependentConfig
) -> BatchSelector:
    return IndependentSelector(config)
