"""How genuine and synthetic pairs are mixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.sampling import sizes_of_kept

_DROWNING = 5.0
"""From this ratio on, genuine pairs are warned of."""


@dataclass(frozen=True, kw_only=True)
class Mix:
    """What one epoch of the stream of pairs is made of."""

    weights: list[float]
    """How many times each part of the corpus is seen."""

    num_genuine: float
    """How many genuine pairs are seen."""

    num_synthetic: float
    """How many pairs are seen whose source was made by a model."""

    @staticmethod
    def of(
        corpus: Corpus, ratio: float | None = None, kept: NDArray[np.int64] | None = None
    ) -> Mix:
        """Mixes the parts of ``corpus``.

        :param ratio: How many synthetic pairs are seen for each genuine one; genuine ones keep
            their weights, and so do synthetic ones among each other. ``None`` for all weights as
            they are.
        :param kept: The rows that are seen, ascending; ``None`` for all.

        :raises CorpusError: A ratio is given, but the pairs are all of one kind.
        """
        sizes = corpus.sizes if kept is None else sizes_of_kept(corpus.sizes, kept)

        seen = np.array(corpus.weights) * np.array(sizes)

        synthetic = np.array([part.synthetic for part in corpus.parts])

        num_genuine, num_synthetic = float(seen[~synthetic].sum()), float(seen[synthetic].sum())

        weights = corpus.weights

        if ratio is not None:
            if num_genuine == 0.0 or num_synthetic == 0.0:
                lacking = "genuine" if num_genuine == 0.0 else "synthetic"

                raise CorpusError(
                    f"dataset.synthetic_ratio is {ratio}, but split '{corpus.split}' has no "
                    f"{lacking} pair; add a corpus of such, or leave the ratio out."
                )

            factor = ratio * num_genuine / num_synthetic

            weights = [
                weight * factor if is_synthetic else weight
                for weight, is_synthetic in zip(weights, synthetic, strict=True)
            ]

            num_synthetic *= factor

        return Mix(weights=weights, num_genuine=num_genuine, num_synthetic=num_synthetic)

    @property
    def drowns_genuine(self) -> bool:
        """Whether there is so much synthetic text that genuine pairs hardly count."""
        return self.num_genuine > 0.0 and self.num_synthetic > _DROWNING * self.num_genuine

    def __str__(self) -> str:
        if self.num_genuine == 0.0:
            return "all pairs are synthetic"

        text = f"synthetic to genuine pairs {self.num_synthetic / self.num_genuine:.2g}:1"

        if self.drowns_genuine:
            text += (
                f" - more than {_DROWNING:g}:1 drowns the genuine ones: set dataset.synthetic_ratio"
            )

        return text

    def log(self) -> None:
        """Logs the mix, as a warning where it is out of hand; nothing where all is genuine."""
        if self.num_synthetic == 0.0:
            return

        from fairseq2.logging import log

        if self.drowns_genuine:
            log.warning("Mixing {}.", self)
        else:
            log.info("Mixing {}.", self)
