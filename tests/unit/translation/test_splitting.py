"""Cutting a long text loses nothing, and cuts where a reader would."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq2_jest.translation.splitting import joint_of, split_text

# Marks, spaces and letters of several scripts are likelier than anything else.
TEXTS = st.text(
    st.one_of(st.sampled_from("aé字 .,;!?。、।  \u3000"), st.characters()), max_size=200
)


@given(text=TEXTS, limit=st.integers(1, 30))
def test_the_parts_are_the_text_and_each_fits(text: str, limit: int) -> None:
    parts = split_text(text, lambda part: len(part) <= limit)

    assert "".join(parts) == text
    assert all(len(part) <= limit for part in parts)
    assert all(parts) or text == ""


@given(text=TEXTS, limit=st.integers(2, 30))
def test_neighbours_would_not_fit_together(text: str, limit: int) -> None:
    parts = split_text(text, lambda part: len(part) <= limit)

    assert all(len(a) + len(b) > limit for a, b in pairwise(parts))


@given(text=TEXTS, limit=st.integers(1, 40))
def test_parts_fit_by_whatever_measure(text: str, limit: int) -> None:
    """Bytes, of which one character has up to four: what cannot be cut is left as it is."""
    parts = split_text(text, lambda part: len(part.encode(errors="surrogatepass")) <= limit)

    assert "".join(parts) == text
    assert all(
        len(part) == 1 or len(part.encode(errors="surrogatepass")) <= limit for part in parts
    )


@pytest.mark.parametrize(
    ("text", "limit", "parts"),
    [
        ("It rains. It pours.", 19, ["It rains. It pours."]),
        ("It rains. It pours.", 12, ["It rains. ", "It pours."]),
        # As many sentences as fit stay together.
        ("A b. C d. E f. G h.", 10, ["A b. C d. ", "E f. G h."]),
        ("He has 3.14 apples. So what?", 20, ["He has 3.14 apples. ", "So what?"]),
        ('"Who?" he asked. (Me.) Yes.', 16, ['"Who?" ', "he asked. (Me.) ", "Yes."]),
        ("今日は雨です。明日は晴れです。", 8, ["今日は雨です。", "明日は晴れです。"]),
        ("वह आया। वह गया।", 9, ["वह आया। ", "वह गया।"]),
        # A sentence that does not fit: at commas, then at spaces, then anywhere.
        ("one two, three four", 12, ["one two, ", "three four"]),
        ("one two three four", 9, ["one two ", "three ", "four"]),
        ("abcdefgh", 4, ["abcd", "efgh"]),
        # Only the sentence that does not fit is cut within.
        ("Oh. one two three four. Ah.", 12, ["Oh. one two ", "three four. ", "Ah."]),
    ],
)
def test_cuts_are_where_a_reader_would_cut(text: str, limit: int, parts: list[str]) -> None:
    assert split_text(text, lambda part: len(part) <= limit) == parts


@pytest.mark.parametrize(
    ("lang", "joint"),
    [
        ("deu_Latn", " "),
        ("zho_Hans", ""),
        ("yue_Hant", ""),
        ("jpn_Jpan", ""),
        ("zh_CN", ""),
        ("ja_XX", ""),
        ("kor_Hang", " "),
        ("en", " "),
        ("tha_Thai", " "),
    ],
)
def test_sentences_are_joined_as_the_language_is_written(lang: str, joint: str) -> None:
    assert joint_of(lang) == joint
