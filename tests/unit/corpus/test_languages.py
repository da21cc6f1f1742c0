from __future__ import annotations

import pytest

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.language_table import NLLB_LANGUAGES
from fairseq2_jest.corpus.languages import check_language, language_keys, near_languages

NLLB = [line.split(" ")[0] for line in NLLB_LANGUAGES.splitlines()]


@pytest.mark.parametrize(
    ("code", "first"),
    [
        ("de", "deu_Latn"),
        ("DE", "deu_Latn"),
        ("de_DE", "deu_Latn"),
        ("de-AT", "deu_Latn"),
        ("deu", "deu_Latn"),
        ("ger", "deu_Latn"),
        ("deu_latn", "deu_Latn"),
        ("deu-Latn", "deu_Latn"),
        ("german", "deu_Latn"),
        ("Gemran", "deu_Latn"),
        ("deu_Ltn", "deu_Latn"),
        ("deuu_Latn", "deu_Latn"),
        ("eng_Ltn", "eng_Latn"),
        ("en", "eng_Latn"),
        ("ar", "arb_Arab"),
        ("no", "nob_Latn"),
        ("sw", "swh_Latn"),
        ("fa", "pes_Arab"),
        ("zho_Hant", "zho_Hant"),
        ("zh_Hant", "zho_Hant"),
        ("zho_Hanss", "zho_Hans"),
        ("norwegian", "nob_Latn"),
        ("scottish gaelic", "gla_Latn"),
    ],
)
def test_the_likeliest_language_comes_first(code: str, first: str) -> None:
    near = near_languages(code, NLLB)

    assert near[0] == first
    assert len(near) <= 5
    assert len(set(near)) == len(near)


def test_several_scripts_are_all_listed() -> None:
    assert near_languages("zh", NLLB) == ["zho_Hans", "zho_Hant"]


def test_works_for_another_code_scheme() -> None:
    assert near_languages("deu_Latn", ["de_DE", "en_XX", "fr_XX"]) == ["de_DE"]


def test_a_code_near_none_lists_none() -> None:
    assert near_languages("xx_123", NLLB) == []


def test_keys_start_with_the_code_itself() -> None:
    assert language_keys("deu_Latn") == ("deu_Latn", "deu", "de", "ger")
    assert language_keys("de_DE")[:2] == ("de_DE", "de")
    assert language_keys("tlh") == ("tlh",)


def test_check_names_code_place_and_near_ones() -> None:
    check_language("deu_Latn", NLLB, "direction 'eng_Latn-deu_Latn'")

    with pytest.raises(CorpusError, match=r"'de' of direction 'en-de': did you mean 'deu_Latn'\?"):
        check_language("de", NLLB, "direction 'en-de'")
    with pytest.raises(CorpusError, match="it knows 205, such as 'ace_Arab'"):
        check_language("klingon!", NLLB, "x")
