"""The model card of an export, as the hub reads it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from sacrebleu.metrics.bleu import BLEU

from fairseq2_jest.recipes.export.card import write_card
from fairseq2_jest.report.runs import read_run
from tests.unit.report.synthetic import write_run


def card_of(folder: Path, *directions: str) -> ModelCard:
    for direction in directions:
        write_run(folder / "run", {20: 3.0}, direction=direction)

    write_card(folder / "README.md", read_run(folder / "run"), 20)

    card: ModelCard = ModelCard.load(folder / "README.md")

    return card


@pytest.mark.parametrize(
    ("directions", "codes", "details"),
    [
        (["eng_Latn-deu_Latn", "deu_Latn-eng_Latn"], ["deu", "eng"], "deu_Latn, eng_Latn"),
        (["en_XX-zh_CN"], ["en", "zh"], None),
        (
            ["eng_Latn-zho_Hans", "eng_Latn-zho_Hant"],
            ["eng", "zho"],
            "eng_Latn, zho_Hans, zho_Hant",
        ),
        # In YAML a word for false.
        (["en-no"], ["en", "no"], None),
        (["English-German"], None, None),
    ],
)
def test_languages_are_as_the_hub_wants_them(
    directions: list[str], codes: list[str] | None, details: str | None, tmp_path: Path
) -> None:
    data = card_of(tmp_path, *directions).data

    assert data.get("language") == codes
    assert data.get("language_details") == details
    assert all(re.fullmatch("[a-z]{2,3}", code) for code in codes or ())


def test_scores_are_signed_for_the_language_that_they_are_of(tmp_path: Path) -> None:
    text = card_of(tmp_path, "eng_Latn-deu_Latn", "eng_Latn-zho_Hans").text

    for tokenizer, direction in (("13a", "eng_Latn-deu_Latn"), ("zh", "eng_Latn-zho_Hans")):
        bleu = BLEU(tokenize=tokenizer)

        bleu.corpus_score(["a"], [["a"]])

        assert f"- BLEU|{bleu.get_signature()} ({direction})\n" in text

    assert re.search(r"^- chrF2\+\+\|\S+$", text, re.MULTILINE)
