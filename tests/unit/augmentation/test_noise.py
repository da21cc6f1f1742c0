from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.augmentation.config import NoiseConfig
from fairseq2_jest.augmentation.noise import SourceNoise

WORDS = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=30)


@given(WORDS, st.integers(0, 5), st.integers(0, 10**9))
@settings(deadline=None)
def test_shuffling_keeps_the_words_and_moves_none_too_far(
    words: list[str], max_shift: int, number: int
) -> None:
    # Told apart, to be found again.
    words = [f"{word}{index}" for index, word in enumerate(words)]

    config = NoiseConfig(drop_prob=0.0, blank_prob=0.0, max_shift=max_shift)

    noised = SourceNoise(config, "eng_Latn", seed=2)(" ".join(words), number).split()

    assert sorted(noised) == sorted(words)
    assert all(abs(noised.index(word) - i) <= max_shift for i, word in enumerate(words))


@given(WORDS, st.integers(0, 10**9))
@settings(deadline=None)
def test_what_is_left_are_words_of_the_text_and_fillers(words: list[str], number: int) -> None:
    noise = SourceNoise(NoiseConfig(), "eng_Latn", seed=1)

    noised = noise(" ".join(words), number).split()

    assert 1 <= len(noised) <= len(words)
    assert not Counter(word for word in noised if word != "_") - Counter(words)
    assert noise(" ".join(words), number).split() == noised


def test_the_shares_are_those_of_the_config() -> None:
    noise = SourceNoise(NoiseConfig(drop_prob=0.2, blank_prob=0.1), "eng_Latn", seed=1)

    words = [word for i in range(400) for word in noise("one two three four five " * 4, i).split()]

    assert len(words) / 8000 == pytest.approx(0.8, abs=0.02)
    assert words.count("_") / len(words) == pytest.approx(0.1, abs=0.02)


def test_seed_and_number_decide() -> None:
    text = "one two three four five six seven eight"

    def noised(seed: int) -> list[str]:
        return [SourceNoise(NoiseConfig(), "eng_Latn", seed=seed)(text, i) for i in range(8)]

    assert noised(1) == noised(1) != noised(2)
    assert len(set(noised(1))) > 4


def test_characters_are_words_where_there_are_no_spaces() -> None:
    config = NoiseConfig(drop_prob=0.0, blank_prob=0.0)

    noised = [SourceNoise(config, "jpn_Jpan", seed=1)("犬が猫を見る", i) for i in range(5)]

    assert all(sorted(text) == sorted("犬が猫を見る") for text in noised)
    assert len(set(noised)) > 1


def test_one_word_is_left() -> None:
    config = NoiseConfig(drop_prob=1.0, blank_prob=0.0)

    assert SourceNoise(config, "eng_Latn", seed=1)("one two", 7) in ("one", "two")
