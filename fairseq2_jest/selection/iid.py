"""No selection: the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.validation import Validatable, ValidationResult
from torch import Generator

from fairseq2_jest.selection.selector import BatchSelector, Selection, SuperBatch


@dataclass(frozen=True, kw_only=True)
class IidConfig(Validatable):
    """Configures the selector ``iid``."""

    batch_size: int = 400
    """The number of pairs per step, taken as the shuffled corpus gives them."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.batch_size < 1:
            result.add_error(f"`batch_size` must be at least 1, but is {self.batch_size}.")

        return result


class IidSelector(BatchSelector):
    """Trains on every pair that is read."""

    def __init__(self, config: IidConfig) -> None:
        self._config = config

    @property
    def super_batch_size(self) -> int:
        return self._config.batch_size

    @property
    def sub_batch_size(self) -> int:
        return self._config.batch_size

    def select(self, super_batch: SuperBatch, generator: Generator) -> Selection:
        return Selection(indices=torch.arange(super_batch.num_rows))


def create_iid_selector(resolver: DependencyResolver, config: IidConfig) -> BatchSelector:
    return IidSelector(config)
