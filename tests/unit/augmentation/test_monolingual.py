from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.augmentation.config import MonolingualConfig
from fairseq2_jest.augmentation.language_identification import LanguageLikelihood
from fairseq2_jest.augmentation.monolingual import FileLines, first_places, prepare_monolingual
from fairseq2_jest.corpus.builtin import BuiltinConfig
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.pair import parse_direction
from fairseq2_jest.corpus.prepare import PreparedCorpus
from fairseq2_jest.corpus.readers import BuiltinReader
from fairseq2_jest.corpus.table import CorpusTable
from fairseq2_jest.translation.config import InputConfig
from fairseq2_jest.translation.source import open_source

GERMAN = LanguageLikelihood("deu_Latn")


def prepare(path: Path, **values: Any) -> PreparedCorpus:
    config = InputConfig(path=path)

    cleaning = MonolingualConfig(**({"max_reject_share": 1.0} | values))

    reader = FileLines(open_source(config, path, "deu_Latn"), config)

    return prepare_monolingual(reader, cleaning, GERMAN, path.parent / "cache")


def kept(prepared: PreparedCorpus) -> list[tuple[int, str]]:
    table = CorpusTable(prepared.table)

    rows = np.arange(len(table))

    return list(zip(table.lines(rows).tolist(), table.texts(rows)[1], strict=True))


def test_each_line_is_kept_or_rejected_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "mono.de.gz"

    lines = [
        b"Zwei Kinder spielen im Park.",
        b"",
        "Ein kaputtes \xff Zeichen.".encode("latin-1"),
        b"  ZWEI KINDER spielen im Park. ",
        b"Two children are playing in the park.",
        b"Ja",
        "Ein Mann steht auf einer Straße und wartet.".encode(),
        b"Ein Hund " * 30,
    ]

    file.write_bytes(gzip.compress(b"\n".join(lines)))

    prepared = prepare(file, min_chars=3, max_chars=200)

    assert kept(prepared) == [
        (1, "Zwei Kinder spielen im Park."),
        (7, "Ein Mann steht auf einer Straße und wartet."),
    ]

    rows = (prepared.folder / "rejects.tsv").read_text("utf-8").splitlines()[1:]

    assert [row.split("\t")[1:3] for row in rows] == [
        ["2", "empty line"],
        ["3", "not UTF-8"],
        ["4", "duplicate"],
        ["5", "another language"],
        ["6", "target too short"],
        ["8", "target too long"],
    ]


def test_jsonl_lines_without_a_text_are_rejected(tmp_path: Path) -> None:
    file = tmp_path / "mono.jsonl"

    file.write_text('{"de": "Zwei Kinder spielen."}\n{"en": "Two."}\n[]\n{"de": 3}\n{', "utf-8")

    prepared = prepare(file)

    assert kept(prepared) == [(1, "Zwei Kinder spielen.")]
    assert prepared.manifest.rejected == {
        "missing key": 1,
        "not JSON": 1,
        "not a JSON object": 1,
        "not a string": 1,
    }


def test_too_many_rejects_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "mono.de"

    file.write_text("Zwei Kinder spielen im Park.\n" * 4, "utf-8")

    with pytest.raises(CorpusError, match=r"3 \(75.0%\) are rejected.*3 duplicate, first at .*:2"):
        prepare(file, max_reject_share=0.5)

    assert len(kept(prepare(file, max_reject_share=0.0, reject_duplicates=False))) == 4


@pytest.mark.parametrize("direction", ["eng_Latn-deu_Latn", "deu_Latn-eng_Latn"])
def test_the_built_in_corpus_gives_its_target_side(direction: str, tmp_path: Path) -> None:
    lang = parse_direction(direction).target

    reader = BuiltinReader(BuiltinConfig(part="trusted", size=40), parse_direction(direction))

    prepared = prepare_monolingual(reader, MonolingualConfig(), LanguageLikelihood(lang), tmp_path)

    other = LanguageLikelihood("eng_Latn" if lang == "deu_Latn" else "deu_Latn")

    assert len(kept(prepared)) > 30
    assert max(other(text) for _, text in kept(prepared)) < 0.5


@given(st.lists(st.text("aAbBß", max_size=2), max_size=40))
@settings(deadline=None)
def test_first_places_are_those_of_a_set(texts: list[str]) -> None:
    folded = [text.casefold() for text in texts]

    expected = [text not in folded[:place] for place, text in enumerate(folded)]

    assert first_places(texts).tolist() == expected


def test_a_language_goes_by_any_tokenizers_code() -> None:
    text = "Zwei Kinder spielen im Park."

    assert LanguageLikelihood("deu_Latn")(text) == LanguageLikelihood("de_DE")(text) == 1.0
    assert LanguageLikelihood("eng_Latn")(text) < 0.1
    assert not LanguageLikelihood("ayr_Latn").is_known
    assert LanguageLikelihood("ayr_Latn")(text) == 1.0
