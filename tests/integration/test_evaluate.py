"""`mt evaluate`: the numbers are sacrebleu's, and what is wrong is told in one sentence."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fairseq2_jest.evaluation.comet.interpreter import PYTHON_VARIABLE
from tests.fake_comet import count, overlap, write_fake
from tests.hugging_face import texts
from tests.integration.forked import Finished, run_program
from tests.sacrebleu_program import ALL, compare_files, score_file, write_texts
from tests.unit.report.page_parser import Page

LINES = texts(60)

SOURCES, REFERENCES = list(LINES[::2]), list(LINES[1::2])

DIRECTION = "direction=eng_Latn-deu_Latn"


def worsened(seed: int) -> list[str]:
    generator = random.Random(seed)

    return [
        " ".join(word for word in line.split() if generator.random() > 0.2) for line in REFERENCES
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, lines in (
        ("src", SOURCES),
        ("ref", REFERENCES),
        ("ref2", [line.swapcase() for line in REFERENCES]),
        ("one", worsened(1)),
        ("two", worsened(2)),
        ("short", REFERENCES[:-1]),
        ("empty", []),
        ("blank", [""] * len(REFERENCES)),
    ):
        write_texts(tmp_path / f"{name}.txt", lines)

    return tmp_path


def evaluate(
    folder: Path, *overrides: str, command: str = "evaluate", env: Mapping[str, str] | None = None
) -> Finished:
    head = ("evaluate", "OUT") if command == "evaluate" else ("check", "evaluate")

    return run_program("mt", *head, "--config", DIRECTION, *overrides, folder=folder, env=env)


def numbers(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "OUT" / "evaluate.json").read_text())

    return found


TWO = ("systems.one=one.txt", "systems.two=two.txt", "references=[ref.txt]")

ONE = ("systems.one=one.txt", "references=[ref.txt]")


def test_two_systems_are_scored_and_compared_as_by_sacrebleu(folder: Path) -> None:
    """In a table, in JSON and on a page, with what of the test set is in the training data."""
    write_texts(folder / "train.src", [*SOURCES[:6], "other"])
    write_texts(folder / "train.tgt", [*REFERENCES[:5], "something else", "ein anderer"])

    comet = write_fake(folder / "env")

    result = evaluate(
        folder,
        *TWO,
        "source=src.txt",
        f"metrics.comet.python={comet}",
        "dataset={family: parallel_text, config_overrides: {corpora: [{split: train, "
        "direction: eng_Latn-deu_Latn, source: train.src, target: train.tgt}]}}",
    )

    assert result.code == 0, result.err[-3000:]

    files = [folder / "ref.txt"], [folder / "one.txt", folder / "two.txt"]

    program, signatures = compare_files(*files, *ALL, "--paired-bs")

    found = numbers(folder)

    bleu, chrf, ter, comet_scores = found["metrics"]

    for metric in (bleu, chrf, ter):
        assert metric["test_signature"] == signatures[metric["name"]]

        for system, expected in zip(metric["systems"].values(), program, strict=True):
            values = [system[key] for key in ("score", "mean", "confidence", "p_value")]

            assert [v for v in values if v is not None] == pytest.approx(
                expected[metric["name"]], abs=6e-5
            )

    pairs = [*zip(worsened(1), REFERENCES, strict=True)]

    assert comet_scores["systems"]["one"]["score"] == pytest.approx(
        sum(overlap(*pair) for pair in pairs) / len(pairs)
    )
    assert "|model:Unbabel/wmt22-comet-da|revision:r1|" in comet_scores["signature"]
    assert count(comet, "starts") == 1 and count(comet, "requests") == 2

    assert found["overlap"]["pairs"] == [1, 2, 3, 4, 5]
    assert found["overlap"]["sources"] == [1, 2, 3, 4, 5, 6]

    # All of it is in the terminal and on the page, too.
    page = Page((folder / "OUT" / "evaluate.html").read_text(encoding="utf-8"))

    page.check()

    for name in ("one", "two"):
        for metric in (bleu, chrf, ter):
            text = f"{metric['systems'][name]['score']:.2f} ± "

            assert text in result.out
            assert any(cell.startswith(text) for cell in page.cells)

    for metric in found["metrics"]:
        assert f"{metric['name']}|{metric['test_signature']}" in result.out

    assert "5 pairs (16.7%), 6 sources (20.0%), 5 references (16.7%)" in result.out
    assert f"(p = {bleu['systems']['two']['p_value']:.4f})" in result.out


def test_one_system_with_two_references_is_not_tested(folder: Path) -> None:
    result = evaluate(folder, "systems.one=one.txt", "references=[ref.txt, ref2.txt]")

    assert result.code == 0, result.err[-3000:]

    found = numbers(folder)

    program = score_file([folder / "ref.txt", folder / "ref2.txt"], folder / "one.txt", *ALL)

    for metric, expected in zip(found["metrics"], program, strict=True):
        assert metric["signature"] == expected["signature"]
        assert metric["systems"]["one"]["score"] == pytest.approx(expected["score"], abs=1e-6)

    assert found["test"] is None and "p =" not in result.out


def test_files_of_mt_translate_and_corpora_are_read(folder: Path) -> None:
    """JSON lines, columns with and without names, and what is compressed."""
    rows = [*zip(SOURCES, worsened(1), strict=True)]

    lines = {
        "a.jsonl": [json.dumps({"source": s, "hypothesis": h, "score": -1.0}) for s, h in rows],
        "b.tsv": ["source\thypothesis\tscore", *(f"{s}\t{h}\t-1.0" for s, h in rows)],
        "pairs.tsv": [f"{s}\t{r}" for s, r in zip(SOURCES, REFERENCES, strict=True)],
    }

    for name, content in lines.items():
        write_texts(folder / name, content)

    (folder / "c.txt.gz").write_bytes(gzip.compress((folder / "one.txt").read_bytes()))

    result = evaluate(
        folder,
        *(f"systems.{name[0]}={name}" for name in ("a.jsonl", "b.tsv", "c.txt.gz")),
        "references=[pairs.tsv]",
        "source=pairs.tsv",
        "metrics.ter=false",
    )

    assert result.code == 0, result.err[-3000:]

    bleu = numbers(folder)["metrics"][0]

    (expected,) = score_file([folder / "ref.txt"], folder / "one.txt", "-m", "bleu")

    assert [s["score"] for s in bleu["systems"].values()] == pytest.approx([expected["score"]] * 3)
    assert "b and c say the same as a in every line" in result.out


CASES: dict[str, tuple[tuple[str, ...], str]] = {
    "a shorter file": (
        ("systems.one=short.txt", "references=[ref.txt]"),
        "short.txt has 29 lines, but the reference ref.txt has 30",
    ),
    "a shorter source": (
        (*ONE, "source=short.txt"),
        "short.txt has 29 lines, but the reference ref.txt has 30",
    ),
    "an empty file": (
        ("systems.one=empty.txt", "references=[ref.txt]"),
        "empty.txt has no lines; name a file that has.",
    ),
    "a file that is not there": (
        ("systems.one=none.txt", "references=[ref.txt]"),
        "none.txt does not exist; mend the path",
    ),
    "no systems": (("references=[ref.txt]",), "`systems` must name a file of translations"),
    "no references": (("systems.one=one.txt",), "`references` must name a file"),
    "no metrics": (
        (*ONE, "metrics.bleu=false", "metrics.chrf=false", "metrics.ter=false"),
        "must be asked for",
    ),
    "COMET without sources": (
        (*ONE, "metrics.comet={}"),
        "`source` must be given where `metrics.comet` is.",
    ),
    "COMET where there is none": (
        (*ONE, "source=src.txt", "metrics.comet.python=no/python"),
        "metrics.comet.python is",
    ),
    "a model that is not there": (
        (*ONE, "metrics.spbleu=true"),
        "metrics.spbleu needs the model of the tokenizer flores200",
    ),
    "a column that is not there": (
        ("systems.one=pairs.tsv", "references=[ref.txt]"),
        "mend the header line or columns.hypothesis",
    ),
    "a package that is not there": (
        (*ONE, "direction=en-ko"),
        "pip install 'sacrebleu[ko]', or name another tokenizer.",
    ),
    "a language that is none": ((*ONE, "direction=english"), "`direction` is wrong"),
}

OFFLINE = {
    "https_proxy": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "no_proxy": "",
    "SACREBLEU": "none",
}


CHECKED = ("a shorter file", "COMET where there is none", "a package that is not there")


@pytest.mark.parametrize(
    ("case", "command"),
    [*((case, "evaluate") for case in CASES), *((case, "check") for case in CHECKED)],
)
def test_what_is_wrong_is_told_in_one_sentence(case: str, command: str, folder: Path) -> None:
    overrides, message = CASES[case]

    write_texts(folder / "pairs.tsv", ["a\tb"] * len(REFERENCES))

    result = evaluate(folder, *overrides, command=command, env=OFFLINE)

    said = " ".join(result.err.split())

    assert result.code == 2
    assert message in said.replace("- ", "-")
    assert "Traceback" not in result.err
    assert result.out == ""
    assert not list(folder.glob("OUT/*evaluate*"))


def test_a_process_that_dies_for_good_leaves_no_half_of_a_result(folder: Path) -> None:
    comet = write_fake(folder / "env", dies_at=[2, 3])

    before = evaluate(folder, *ONE)

    assert before.code == 0

    kept = numbers(folder)

    result = evaluate(folder, *TWO, "source=src.txt", f"metrics.comet.python={comet}")

    assert result.code == 2
    assert "COMET ended twice" in " ".join(result.err.split())
    assert numbers(folder) == kept


def test_check_says_what_would_be_scored(folder: Path) -> None:
    comet = write_fake(folder / "env")

    options = (*TWO, "source=src.txt", "metrics.comet={}")

    result = evaluate(folder, *options, command="check", env={PYTHON_VARIABLE: str(comet)})

    assert result.code == 0, result.err
    assert result.out.splitlines() == [
        "one: one.txt, 30 lines",
        "two: two.txt, 30 lines",
        "references: ref.txt",
        f"COMET: Unbabel/wmt22-comet-da, by {comet}",
    ]
    assert not (folder / "env" / "starts").exists()


def test_translations_may_be_empty_lines(folder: Path) -> None:
    result = evaluate(folder, "systems.one=blank.txt", "references=[ref.txt]")

    assert result.code == 0, result.err[-3000:]
    assert numbers(folder)["metrics"][0]["systems"]["one"]["score"] == 0.0
