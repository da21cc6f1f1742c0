"""Noise for synthetic sources (Edunov et al. 2018)."""

from __future__ import annotations

import numpy as np

from fairseq2_jest.augmentation.config import NoiseConfig
from fairseq2_jest.translation.splitting import joint_of


class SourceNoise:
    """Drops, blanks and shuffles the words of a text.

    The same text of the same number becomes the same, whoever asks and in whatever order.
    """

    def __init__(self, config: NoiseConfig, lang: str, *, seed: int) -> None:
        """
        :param lang: The language of the texts; where it has no spaces, characters are words.
        """
        self._config = config
        self._joint = joint_of(lang)
        self._seed = seed

    def __call__(self, text: str, number: int) -> str:
        """The noised text; a word is left of it in any case."""
        config = self._config

        random = np.random.default_rng([self._seed, number])

        words = text.split() if self._joint else list(text)

        if not words:
            return text

        keeps = random.random(len(words)) >= config.drop_prob
        blanks = random.random(len(words)) < config.blank_prob
        spared = random.integers(len(words))
        # Sorting by i + u, u in [0, k + 1), moves no word further than k places.
        shifts = random.random(len(words)) * (config.max_shift + 1)

        if not keeps.any():
            keeps[spared] = True

        left = [
            config.filler if blank else word
            for word, keep, blank in zip(words, keeps, blanks, strict=True)
            if keep
        ]

        order = np.argsort(np.arange(len(left)) + shifts[: len(left)], kind="stable")

        return self._joint.join(left[i] for i in order)
