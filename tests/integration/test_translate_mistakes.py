"""`mt translate`: what is wrong is told in a sentence, as `mt check translate` tells it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.integration.forked import Finished, run_program
from tests.translating import LINES, start


def test_the_output_is_not_the_input(run: Path, source: Path, tmp_path: Path) -> None:
    overrides = (f"run.path={run}", f"input.path={source}", f"output.path={source}")

    finished = start(tmp_path / "out", *overrides).wait()

    assert "which is the input; name another, for it would be overwritten." in finished.err
    assert source.read_text(encoding="utf-8").splitlines() == LINES


CASES = {
    "an unknown language": (
        ("direction=eng_Latn-german",),
        "The tokenizer does not know the language 'german' of direction eng_Latn-german: did you "
        "mean 'deu_Latn'?",
    ),
    "no direction": (
        ("direction=''",),
        "`direction` is wrong: '' is not a direction: write the source and the target language "
        "joined by one hyphen, as in 'eng_Latn-deu_Latn'.",
    ),
    "a file that is not UTF-8": (
        ("input.path=latin.txt",),
        "latin.txt:2 is not UTF-8 (byte 3 of the line); mend or remove that line, for there is a "
        "translation of each.",
    ),
    "a file that does not exist": (
        ("input.path=no.txt",),
        "The corpus file no.txt does not exist; mend the path (relative paths start from "
        "{folder}).",
    ),
    "a run that does not exist": (
        ("run.path=nowhere",),
        "run.path must be the output directory of a run of mt finetune: nowhere is not there, "
        "not a run.",
    ),
    "a run without a checkpoint": (
        ("run.path=young",),
        "The run in young has no checkpoint in young/checkpoints; wait for its first one, or name "
        "another run.",
    ),
    "a file of a model that does not exist": (
        ("run.path=null", "model.path=nowhere.pt", "model.family=nllb"),
        "model.path is nowhere.pt, which does not exist; mend the path (relative paths start from "
        "{folder}).",
    ),
    "a model that is not known": (
        ("run.path=null", "model.name=nllb-200_dense_distil_600m"),
        "model.name is nllb-200_dense_distil_600m, which is not a known model; did you mean "
        "nllb-200_dense_distill_600m or nllb-200_dense_distill_1b or nllb-200-distilled-600M?",
    ),
    "a run that wants pickles to be trusted": (
        ("run.path=unsafe",),
        "unsafe/checkpoints/model.yaml sets `restrict` to false, with which a checkpoint could run "
        "any code; remove that line.",
    ),
    "a step that was not saved": (
        ("run.checkpoint=3",),
        "run.checkpoint is 3, but the run in {run} has checkpoints of step 1, 2 only; name one of "
        "these.",
    ),
    "a checkpoint of no kind": (
        ("run.checkpoint=bst",),
        "run.checkpoint must be best or last or a whole number or null, but is 'bst'.",
    ),
    "a best one without scores": (
        ("run.path=unscored", "run.checkpoint=best"),
        "run.checkpoint is best, but the run in unscored has scored no checkpoint that it kept; "
        "set it to last or to a step.",
    ),
    "a typo": (
        ("translation.max_source_length=8",),
        "translation.max_source_length is not a known config key; did you mean max_source_len?",
    ),
    "more hypotheses than the beam has": (
        ("output.num_hypotheses=6", "output.format=tsv"),
        "`output.num_hypotheses` (6) must not exceed `seq2seq_generator.config.beam_size` (5).",
    ),
    "a length that the model does not take": (
        ("translation.max_source_len=300",),
        "translation.max_source_len is 300, but the model takes at most 256 tokens; lower it.",
    ),
    "scores in plain text": (
        ("output.scores=true",),
        "output.format is text, which has room for one translation a line and no score; set "
        "output.format to tsv or jsonl.",
    ),
    "a column that is not there": (
        ("input.path=table.tsv", "input.column=eng"),
        "table.tsv:1 has no column 'eng': mend the header line or input.column; the header has "
        "'id', 'en'.",
    ),
}


@pytest.fixture
def folder(run: Path, tmp_path: Path) -> Path:
    (tmp_path / "in.txt").write_text("a dog .\n")
    (tmp_path / "latin.txt").write_bytes("ok\nfür\n".encode("latin-1").replace(b"f", b"fo"))
    (tmp_path / "table.tsv").write_text("id\ten\n1\ta dog .\n")

    for name in ("young", "unscored", "unsafe"):
        (tmp_path / name).mkdir()

        shutil.copy(run / "config.yaml", tmp_path / name)

    # fairseq2 itself takes an empty folder for a checkpoint.
    (tmp_path / "young" / "checkpoints" / "step_1").mkdir(parents=True)

    for name in ("unscored", "unsafe"):
        shutil.copytree(run / "checkpoints", tmp_path / name / "checkpoints")

    shutil.rmtree(tmp_path / "unscored" / "checkpoints" / "scores")

    with (tmp_path / "unsafe" / "checkpoints" / "model.yaml").open("a") as card:
        card.write("restrict: false\n")

    return tmp_path


def check_told(result: Finished, sentence: str) -> None:
    assert "Traceback" not in result.err
    assert result.err.splitlines()[-1].endswith(sentence), result.err[-2000:]
    assert result.code == 2


@pytest.mark.parametrize("case", CASES)
def test_a_translation_and_its_check_tell_in_the_same_sentence(
    case: str, run: Path, folder: Path
) -> None:
    overrides, sentence = CASES[case]

    common = ("--preset", "demo", "--config", f"run.path={run}", "input.path=in.txt", *overrides)

    for command in (("translate", "out", "--no-rich"), ("check", "translate")):
        result = run_program("mt", *command, *common, folder=folder)

        check_told(result, sentence.format(run=run, folder=folder))

    assert not (folder / "out" / "shards").exists()


def test_a_damaged_checkpoint_is_told(run: Path, folder: Path) -> None:
    (file,) = (folder / "unscored" / "checkpoints" / "step_2" / "model").rglob("*.pt")

    os.truncate(file, 1000)

    result = run_program(
        *("mt", "translate", "out", "--preset", "demo", "--no-rich", "--config"),
        *("run.path=unscored", "input.path=in.txt"),
        folder=folder,
    )

    check_told(
        result,
        "The checkpoint of step 2 of the run in unscored is damaged; name another in "
        "run.checkpoint, or copy it again.",
    )


def test_check_tells_what_would_be_translated(run: Path, folder: Path) -> None:
    args = ("mt", "check", "translate", "--preset", "demo", "--config", f"run.path={run}")

    result = run_program(*args, "input.path=in.txt", folder=folder)

    assert result.code == 0, result.err
    assert result.out.splitlines() == [
        "in.txt: 1 lines, text",
        "direction: eng_Latn-deu_Latn",
        f"model: checkpoint_step_1 of {run}",
    ]

    # Standard input is left alone.
    result = run_program(*args, folder=folder)

    assert result.out.splitlines()[0] == "standard input: text"
