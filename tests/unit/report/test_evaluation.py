from __future__ import annotations

import json
from pathlib import Path

from fairseq2_jest.evaluation.overlap import Overlap
from fairseq2_jest.evaluation.result import Evaluation, TextFile
from fairseq2_jest.evaluation.significance import MetricScores, SystemScore
from fairseq2_jest.report.evaluation import render_evaluation
from tests.unit.report.page_parser import Page


def text_file(name: str, *texts: str) -> TextFile:
    return TextFile(path=Path(name), sha256=f"digest of {name}", texts=texts)


def evaluation(overlap: Overlap | None = None) -> Evaluation:
    systems = {
        "<b>base</b>": SystemScore(score=20.123, mean=20.1, confidence=1.234),
        "mine": SystemScore(score=25.0, mean=25.0, confidence=1.0, p_value=0.049),
        "other": SystemScore(score=20.2, mean=20.2, confidence=1.0, p_value=0.051),
    }

    comet = {name: SystemScore(score=0.81234) for name in systems}

    return Evaluation(
        direction="eng_Latn-deu_Latn",
        systems={name: text_file(f"{name}.txt", "a", name) for name in systems},
        references=[text_file("ref1", "a", "b"), text_file("ref2", "a", "c")],
        source=text_file("src", "x", "y"),
        metrics=[
            MetricScores(
                name="TER",
                more_is_better=False,
                signature="plain",
                test_signature="tested",
                systems=systems,
            ),
            MetricScores(
                name="COMET",
                more_is_better=True,
                signature="model:m",
                test_signature=None,
                systems=comet,
            ),
        ],
        test="bootstrap",
        overlap=overlap,
    )


def test_the_page_has_all_that_decides_a_score() -> None:
    text = render_evaluation(evaluation())

    page = Page(text)

    page.check()

    assert "<b>" not in text and "://" not in text
    assert {"20.12 ± 1.23", "25.00 ± 1.00 (p = 0.0490)*", "20.20 ± 1.00 (p = 0.0510)"} <= set(
        page.cells
    )
    assert {"0.8123", "TER ↓", "digest of ref2", "reference 2", "source"} <= set(page.cells)
    assert "TER|tested" in text and "COMET|model:m" in text
    assert "COMET is given the first reference only, ref1." in text
    assert "was not looked for" in text


def test_the_overlap_is_on_the_page_and_in_the_notes() -> None:
    overlap = Overlap(
        num_lines=200,
        num_training_pairs=5000,
        sources=tuple(range(1, 131)),
        references=(7,),
        pairs=(),
    )

    found = evaluation(overlap)

    page = Page(render_evaluation(found))

    page.check()

    assert {"source and reference", "130", "65 %", "7"} <= set(page.cells)
    assert any(cell.endswith("100, ... (all are in evaluate.json)") for cell in page.cells)

    assert found.notes()[-1] == (
        "Of 200 test lines, 0 pairs (0.0%), 130 sources (65.0%), 1 references (0.5%) are word for "
        "word in the training data of 5,000 pairs."
    )

    numbers = json.loads(found.to_json())

    assert numbers["overlap"]["sources"] == list(range(1, 131))
    assert numbers["metrics"][0]["systems"]["mine"]["p_value"] == 0.049
