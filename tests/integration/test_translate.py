"""`mt translate`: what comes out is the same however it came about."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.generation.beam_search import BeamSearchSeq2SeqGenerator
from fairseq2.generation.text import TextTranslator
from fairseq2.models import ModelFamily
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model

from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.cli.main import main
from fairseq2_jest.corpus.cleaning import normalize_text
from fairseq2_jest.models.generation import ignore_prompt_scores
from fairseq2_jest.recipes.translate.recipe import TranslateRecipe
from fairseq2_jest.translation.errors import TranslationError
from tests.integration.forked import Finished, fork, run_program
from tests.integration.runs import weights
from tests.translating import (
    arguments,
    check_translation_kills,
    finish,
    load,
    log_of,
    make_run,
    output,
    shards,
    source_lines,
    start,
    start_ranks,
    translate,
    write_lines,
)

NUM_LINES = 84

LINES = source_lines(NUM_LINES)

LONG = " ".join(LINES)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("source") / "in.txt", LINES)


@pytest.fixture(scope="module")
def alone(run: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of one process that was not disturbed."""
    out = tmp_path_factory.mktemp("alone") / "out"

    finish(start(out, f"run.path={run}", f"input.path={source}"))

    return out


def one_by_one(run: Path, lines: list[str], beam_size: int = 2) -> list[str]:
    """By fairseq2 alone, with the checkpoint of step 1, each line a batch of its own."""
    with load_config(TranslateRecipe(), ConfigSources(overrides=[["direction=a-b"]])) as (
        _,
        resolver,
    ):
        family = resolver.resolve(ModelFamily, key="nllb")

        config = family.maybe_get_arch_config("tiny_builtin")

        tokenizer = load_tokenizer("builtin-ende")

    assert isinstance(config, NllbConfig)

    model = create_nllb_model(config)
    model.load_state_dict(weights(run, 1))
    model.eval()

    generator = BeamSearchSeq2SeqGenerator(
        model, tokenizer.vocab_info, beam_size=beam_size, max_gen_len=(0.0, 8)
    )

    ignore_prompt_scores(generator)

    translator = TextTranslator(generator, tokenizer, "eng_Latn", "deu_Latn")

    return [normalize_text(translator(line)[0]) if line else "" for line in lines]


def test_batches_give_what_fairseq2_gives_line_by_line(alone: Path, run: Path) -> None:
    expected = one_by_one(run, LINES)

    # Else a wrong order would not be seen.
    assert len(set(expected)) > NUM_LINES // 3

    assert output(alone) == expected


def test_the_log_and_the_summary_say_what_was_done(alone: Path) -> None:
    log = log_of(alone)

    assert f"All {NUM_LINES} lines are translated: {NUM_LINES} in " in log
    assert f"They are in {alone / 'translations.txt'}." in log

    summary = json.loads((alone / "translate.json").read_text(encoding="utf-8"))

    assert summary["lines"] == summary["new_lines"] == NUM_LINES
    assert summary["empty"] == NUM_LINES // 7
    assert summary["split"] == summary["not_translated"] == 0
    assert summary["lines_per_second"] > 0.0


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_give_the_same_bytes_as_one_process(
    num_ranks: int, alone: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    finish(*start_ranks(num_ranks, tmp_path / "out", f"run.path={run}", f"input.path={source}"))

    assert shards(tmp_path / "out") == shards(alone)
    assert output(tmp_path / "out") == output(alone)


def test_another_number_of_ranks_goes_on(
    alone: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    shutil.copytree(alone, out)

    # As if killed, with a block that the disk has lost half of.
    (out / "translations.txt").unlink()
    (out / "shards" / "00000003.jsonl").unlink()
    (out / "shards" / "00000006.jsonl").write_bytes(shards(alone)["00000006.jsonl"][:50])

    finish(*start_ranks(2, out, f"run.path={run}", f"input.path={source}"))

    assert "7 of 9 blocks of lines are translated already" in log_of(out)
    assert shards(out) == shards(alone)
    assert output(out) == output(alone)


def test_a_killed_translation_resumes_to_the_same_bytes_at_three_points(tmp_path: Path) -> None:
    check_translation_kills(tmp_path, num_kills=3, seed=1)


def test_what_is_complete_is_not_translated_again(
    alone: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    shutil.copytree(alone, out)

    (out / "translations.txt").unlink()

    before = {file: file.stat().st_mtime_ns for file in (out / "shards").iterdir()}

    num_loads = log_of(out).count("Loading checkpoint_step_1 model")

    assert num_loads == 1

    finish(start(out, f"run.path={run}", f"input.path={source}"))

    assert output(out) == output(alone)
    assert {file: file.stat().st_mtime_ns for file in (out / "shards").iterdir()} == before
    assert log_of(out).count("Loading checkpoint_step_1 model") == num_loads

    # Nor is it for another form.
    finish(start(out, f"run.path={run}", f"input.path={source}", "output.format=jsonl"))

    rows = (out / "translations.jsonl").read_text(encoding="utf-8").splitlines()

    assert [json.loads(row)["hypothesis"] if row else "" for row in rows] == output(alone)
    assert log_of(out).count("Loading checkpoint_step_1 model") == num_loads


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("seq2seq_generator.config.beam_size=3", "seq2seq_generator.config.beam_size (2, now 3)"),
        ("run.checkpoint=last", 'model.name ("checkpoint_step_1", now "checkpoint_step_2")'),
        ("direction=deu_Latn-eng_Latn", 'direction ("eng_Latn-deu_Latn", now "deu_Latn-eng_Latn")'),
        ("model.dtype=bfloat16", 'model.dtype ("float32", now "bfloat16")'),
        ("translation.block_size=11", "translation.block_size (10, now 11)"),
        ("output.num_hypotheses=2 output.format=tsv", "num_hypotheses (1, now 2)"),
    ],
    ids=range(6),
)
def test_another_config_is_refused(
    override: str, difference: str, alone: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    shutil.copytree(alone, out)

    finished = start(out, f"run.path={run}", f"input.path={source}", *override.split()).wait()

    assert finished.code == 2 and "Traceback" not in finished.err
    assert f"{out} holds translations with another {difference}; name another" in finished.err
    assert output(out) == output(alone) and shards(out) == shards(alone)


def test_another_input_or_model_is_refused_and_moved_ones_are_not(
    alone: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    out, moved = tmp_path / "out", tmp_path / "moved"

    shutil.copytree(alone, out)
    shutil.copytree(run, moved)

    same = write_lines(tmp_path / "same.txt", LINES)
    other = write_lines(tmp_path / "other.txt", [*LINES[:-1], "x"])

    finish(start(out, f"run.path={moved}", f"input.path={same}"))

    finished = start(out, f"run.path={moved}", f"input.path={other}").wait()

    assert "holds translations with another input.sha256" in finished.err

    (file,) = (moved / "checkpoints" / "step_1" / "model").rglob("*.pt")

    state = weights(moved, 1)
    state["decoder.layer_norm.bias"][0] += 1.0
    torch.save(state, file)

    finished = start(out, f"run.path={moved}", f"input.path={same}").wait()

    assert "holds translations with another model.files" in finished.err
    assert output(out) == output(alone)


def test_all_formats_hold_the_same_translations(alone: Path, run: Path, tmp_path: Path) -> None:
    tsv = write_lines(
        tmp_path / "in.tsv", ["id\ten", *(f"{i}\t{line}" for i, line in enumerate(LINES))]
    )

    jsonl = write_lines(
        tmp_path / "in.jsonl",
        [json.dumps({"translation": {"en": line}, "id": i}) for i, line in enumerate(LINES)],
    )

    common = (f"run.path={run}", "output.num_hypotheses=2", "output.scores=true")

    finish(start(tmp_path / "tsv", f"input.path={tsv}", "input.column=en", *common))
    finish(
        start(
            tmp_path / "jsonl",
            f"input.path={jsonl}",
            f"output.path={tmp_path / 'deep' / 'out.jsonl'}",
            *common,
        )
    )

    table = [
        row.split("\t")
        for row in (tmp_path / "tsv" / "translations.tsv").read_text(encoding="utf-8").splitlines()
    ]

    rows = [
        json.loads(row)
        for row in (tmp_path / "deep" / "out.jsonl").read_text(encoding="utf-8").splitlines()
    ]

    assert table.pop(0) == ["id", "en", "hypothesis_1", "score_1", "hypothesis_2", "score_2"]
    assert len(table) == len(rows) == NUM_LINES

    assert [columns[2] for columns in table] == output(alone)
    assert [row["hypothesis"] for row in rows] == output(alone)

    for number, (columns, row, line) in enumerate(zip(table, rows, LINES, strict=True)):
        assert columns[:2] == [str(number), line]
        assert row["translation"] == {"en": line} and row["id"] == number

        found = [(h["text"], h["score"]) for h in row["hypotheses"]]

        if line:
            assert found == [(columns[2], float(columns[3])), (columns[4], float(columns[5]))]
            assert found[0][1] >= found[1][1]
        else:
            assert found == [] and columns[2:] == [""] * 4


def test_long_lines_are_split_or_reported(alone: Path, run: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.txt", [LINES[0], LONG, LINES[1]])

    common = (f"run.path={run}", f"input.path={file}")

    finish(start(tmp_path / "split", *common))

    first, long, last = output(tmp_path / "split")

    assert [first, last] == output(alone)[:2]
    assert len(long) > 3 * len(first)

    summary = json.loads((tmp_path / "split" / "translate.json").read_text(encoding="utf-8"))

    assert (summary["split"], summary["not_translated"]) == (1, 0)
    assert not (tmp_path / "split" / "not_translated.tsv").exists()

    finish(start(tmp_path / "report", *common, "translation.long_lines=report"))

    assert output(tmp_path / "report") == [first, "", last]
    assert "1 line(s) are longer than translation.max_source_len" in log_of(tmp_path / "report")

    header, row = (tmp_path / "report" / "not_translated.tsv").read_text().splitlines()

    assert header == "line\ttokens"
    assert row.split("\t")[0] == "2" and int(row.split("\t")[1]) > 96


@pytest.mark.parametrize(
    ("checkpoint", "step"), [("best", 1), ("last", 2), ("1", 1), ("2", 2), ("null", 1)]
)
def test_a_checkpoint_is_chosen(checkpoint: str, step: int, run: Path) -> None:
    config = load(f"run.path={run}", f"run.checkpoint={checkpoint}")

    assert config.model.name == f"checkpoint_step_{step}"
    assert config.run.checkpoint == step
    assert config.tokenizer.name == "builtin-ende"
    assert config.common.assets.prev_checkpoint_dir == run / "checkpoints"


def test_a_run_is_found_where_fairseq2_put_it(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "outer" / "ws_1.0a1b2c3d"

    shutil.copytree(run, folder)

    config = load(f"run.path={tmp_path / 'outer'}")

    assert config.common.assets.prev_checkpoint_dir == folder / "checkpoints"

    elsewhere = (folder / "checkpoints").rename(tmp_path / "elsewhere")

    config = load(f"run.path={folder}", f"run.checkpoint_dir={elsewhere}", "run.checkpoint=last")

    assert config.common.assets.prev_checkpoint_dir == elsewhere
    assert config.model.name == "checkpoint_step_2"


def test_checkpoints_give_translations_of_their_own(alone: Path, run: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.txt", LINES[:30])

    finish(start(tmp_path / "out", f"run.path={run}", "run.checkpoint=2", f"input.path={file}"))

    assert output(tmp_path / "out") != output(alone)[:30]


def test_a_model_section_is_as_good_as_a_run(alone: Path, run: Path, tmp_path: Path) -> None:
    """The model of a run by its path, as any other file of a model."""
    file = write_lines(tmp_path / "in.txt", LINES[:30])

    finish(
        start(
            tmp_path / "out",
            *("run.path=null", f"input.path={file}", "model.name=null", "model.family=nllb"),
            f"model.path={run / 'checkpoints' / 'step_1' / 'model'}",
            *("model.arch=tiny_builtin", "tokenizer.name=builtin-ende"),
        )
    )

    assert output(tmp_path / "out") == output(alone)[:30]


@pytest.mark.parametrize("override", ["model.dtype=bfloat16", "generator.amp=true"])
def test_other_precisions_translate_every_line(
    override: str, run: Path, source: Path, tmp_path: Path
) -> None:
    overrides = (override, "generator.amp_dtype=bfloat16")

    finish(start(tmp_path / "out", f"run.path={run}", f"input.path={source}", *overrides))

    assert [bool(line) for line in output(tmp_path / "out")] == [bool(line) for line in LINES]


def test_an_input_without_lines_gives_an_output_without_lines(run: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.txt", [])

    finish(start(tmp_path / "out", f"run.path={run}", f"input.path={file}"))

    assert output(tmp_path / "out") == []


def test_standard_input_is_saved_and_resumed(
    alone: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def piped(content: bytes) -> Finished:
        (tmp_path / "pipe").write_bytes(content)

        def call() -> None:
            with (
                (tmp_path / "pipe").open(encoding="utf-8") as stream,
                pytest.MonkeyPatch.context() as m,
            ):
                m.setattr("sys.stdin", stream)

                main(arguments(out, f"run.path={run}"))

        return fork(call, tmp_path).wait()

    first = piped(source.read_bytes())

    assert first.code == 0, first.err[-2000:]
    assert output(out) == output(alone)

    (out / "shards" / "00000002.jsonl").unlink()

    assert piped(source.read_bytes()).code == 0
    assert "8 of 9 blocks of lines are translated already" in log_of(out)
    assert output(out) == output(alone)

    refused = piped(b"other\n")

    assert "holds translations with another input.sha256" in refused.err

    damaged = piped(b"fine\n\xff\n")

    assert "stdin:2 is not UTF-8" in damaged.err
    assert output(out) == output(alone)


def test_a_file_that_changes_meanwhile_is_told(run: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.txt", LINES[:30])

    def call() -> None:
        from fairseq2_jest.translation.shards import Shards

        write = Shards.write

        def write_and_change(*args: object) -> None:
            write(*args)  # type: ignore[arg-type]

            os.truncate(file, 100)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Shards, "write", write_and_change)

            with pytest.raises(TranslationError, match="was changed while it was translated"):
                translate(tmp_path / "out", f"run.path={run}", f"input.path={file}")

    finished = fork(call, tmp_path).wait()

    assert finished.code == 0, finished.err[-2000:]


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


def test_a_length_that_the_model_does_not_take_is_told(run: Path, folder: Path) -> None:
    overrides = (f"run.path={run}", "input.path=in.txt", "translation.max_source_len=300")

    result = run_program(
        *("mt", "translate", "out", "--preset", "demo", "--no-rich", "--config", *overrides),
        folder=folder,
    )

    check_told(
        result,
        "translation.max_source_len is 300, but the model takes at most 256 tokens; lower it.",
    )


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
