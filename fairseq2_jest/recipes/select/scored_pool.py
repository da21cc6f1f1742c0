"""The pairs of a pool, with what decided about them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.recipes.select.rows import blocks_of_rows


@dataclass(frozen=True, kw_only=True)
class ScoredPool:
    """The pairs of a pool, with what decided about them."""

    corpus: Corpus
    """Their texts. N pairs."""

    influence: NDArray[np.float32]
    """The mean influence on the seeds, negative where it helps; NaN for a pair that was not scored.
    *Shape:* ``(N)``."""

    helpful_fraction: NDArray[np.float32]
    """The share of the seeds that it helps; likewise. *Shape:* ``(N)``."""

    passed: NDArray[np.int64]
    """The rows that passed the rule, ascending."""

    chosen: NDArray[np.int64]
    """The rows that were chosen, ascending."""

    @property
    def scored(self) -> NDArray[np.int64]:
        """The rows that were scored, ascending."""
        return np.flatnonzero(~np.isnan(self.influence))

    @property
    def is_chosen(self) -> NDArray[np.bool_]:
        """Whether a row was chosen. *Shape:* ``(N)``."""
        mask = np.zeros(len(self.influence), dtype=np.bool_)

        mask[self.chosen] = True

        return mask

    def target_lengths(self) -> NDArray[np.int64]:
        """Letters of each target. *Shape:* ``(N)``."""
        lengths = np.empty(len(self.influence), dtype=np.int64)

        for rows in blocks_of_rows(len(lengths)):
            lengths[rows] = [len(text) for text in self.corpus.texts(rows)[1]]

        return lengths
