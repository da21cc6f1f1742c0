from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.augmentation.config import FilterConfig
from fairseq2_jest.augmentation.filters import PairFilter, copied_share, loop_share
from fairseq2_jest.augmentation.language_identification import LanguageLikelihood
from fairseq2_jest.corpus.cleaning import Reason

ENGLISH = LanguageLikelihood("eng_Latn")


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("Two children are playing in the park.", "Zwei Kinder spielen im Park.", None),
        ("", "Zwei Kinder spielen im Park.", Reason.EMPTY_SOURCE),
        ("Two", "Zwei Kinder spielen " * 4, Reason.RATIO),
        ("Zwei Kinder spielen im Park.", "zwei kinder spielen im park.", Reason.COPY),
        ("Two Kinder spielen im Park ja.", "Zwei Kinder spielen im Park, ja.", Reason.COPY),
        ("A man, a man, a man, a man, a man.", "Ein Mann steht auf einem Dach.", Reason.LOOP),
        ("No, no, no, no, no, no, she said.", "Nein, nein, nein, nein, nein, sagt sie.", None),
        ("Deux enfants jouent au ballon dans le jardin.", "Zwei Kinder spielen.", Reason.LANGUAGE),
        ("Call 0000000000 now, please.", "Bitte rufen Sie 0000000000 an.", None),
    ],
)
def test_each_filter_finds_what_it_is_for(source: str, target: str, reason: Reason | None) -> None:
    assert PairFilter(FilterConfig(), ENGLISH)(source, target) is reason


def test_what_is_switched_off_is_not_looked_for() -> None:
    off = FilterConfig(
        max_length_ratio=float("inf"),
        max_copied_share=None,
        max_loop_share=None,
        min_language_likelihood=None,
    )

    for source in ("Zwei", "Zwei Kinder spielen im Park.", "la " * 50, "Deux enfants jouent."):
        assert PairFilter(off, ENGLISH)(source, "Zwei Kinder spielen im Park.") is None


@given(st.text("ab c", min_size=1, max_size=9), st.integers(4, 9), st.text("xyz", max_size=20))
@settings(deadline=None)
def test_a_loop_is_found_wherever_it_stands(unit: str, num: int, rest: str) -> None:
    loop = unit * num

    text = f"{rest}{loop}{rest}"

    if 0.75 * len(loop) >= 12:
        assert 0.75 * len(loop) <= loop_share(text) * len(text)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=4, max_size=12, unique=True))
def test_a_text_copies_all_of_itself_and_nothing_of_another(words: list[str]) -> None:
    text = " ".join(words)

    assert copied_share(text, text.upper()) == 1.0
    assert copied_share(text, " ".join(word * 2 for word in words)) == 0.0


def test_names_are_no_copies() -> None:
    assert copied_share("Anna Schmidt", "Anna Schmidt,") == 0.0


def test_a_long_text_without_loops_is_looked_through_quickly() -> None:
    text = "".join(chr(97 + (i * i) % 23) for i in range(2000))

    begin = time.process_time()

    loop_share(text)

    assert time.process_time() - begin < 0.5
