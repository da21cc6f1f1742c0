"""`mt translate`: what comes out is the same however it came about."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.generation.beam_search import BeamSearchSeq2SeqGenerator
from fairseq2.generation.text import TextTranslator
from fairseq2.models import ModelFamily
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model

from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.corpus.cleaning import normalize_text
from fairseq2_jest.models.generation import ignore_prompt_scores
from fairseq2_jest.recipes.translate.recipe import TranslateRecipe
from tests.integration.runs import weights
from tests.translating import (
    LINES,
    finish,
    load,
    log_of,
    output,
    shards,
    start,
    start_ranks,
    write_lines,
)

LONG = " ".join(LINES)


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


def test_batches_give_what_fairseq2_gives_line_by_line(undisturbed: Path, run: Path) -> None:
    expected = one_by_one(run, LINES)

    # Else a wrong order would not be seen.
    assert len(set(expected)) > len(LINES) // 3

    assert output(undisturbed) == expected


def test_the_log_and_the_summary_say_what_was_done(undisturbed: Path) -> None:
    log = log_of(undisturbed)

    assert f"All {len(LINES)} lines are translated: {len(LINES)} in " in log
    assert f"They are in {undisturbed / 'translations.txt'}." in log

    summary = json.loads((undisturbed / "translate.json").read_text(encoding="utf-8"))

    assert summary["lines"] == summary["new_lines"] == len(LINES)
    assert summary["empty"] == len(LINES) // 7
    assert summary["split"] == summary["not_translated"] == 0
    assert summary["lines_per_second"] > 0.0


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_give_the_same_bytes_as_one_process(
    num_ranks: int, undisturbed: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    finish(*start_ranks(num_ranks, tmp_path / "out", f"run.path={run}", f"input.path={source}"))

    assert shards(tmp_path / "out") == shards(undisturbed)
    assert output(tmp_path / "out") == output(undisturbed)


def test_all_formats_hold_the_same_translations(
    undisturbed: Path, run: Path, tmp_path: Path
) -> None:
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
    assert len(table) == len(rows) == len(LINES)

    assert [columns[2] for columns in table] == output(undisturbed)
    assert [row["hypothesis"] for row in rows] == output(undisturbed)

    for number, (columns, row, line) in enumerate(zip(table, rows, LINES, strict=True)):
        assert columns[:2] == [str(number), line]
        assert row["translation"] == {"en": line} and row["id"] == number

        found = [(h["text"], h["score"]) for h in row["hypotheses"]]

        if line:
            assert found == [(columns[2], float(columns[3])), (columns[4], float(columns[5]))]
            assert found[0][1] >= found[1][1]
        else:
            assert found == [] and columns[2:] == [""] * 4


def test_long_lines_are_split_or_reported(undisturbed: Path, run: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.txt", [LINES[0], LONG, LINES[1]])

    common = (f"run.path={run}", f"input.path={file}")

    finish(start(tmp_path / "split", *common))

    first, long, last = output(tmp_path / "split")

    assert [first, last] == output(undisturbed)[:2]
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


def test_checkpoints_give_translations_of_their_own(
    undisturbed: Path, run: Path, tmp_path: Path
) -> None:
    file = write_lines(tmp_path / "in.txt", LINES[:30])

    finish(start(tmp_path / "out", f"run.path={run}", "run.checkpoint=2", f"input.path={file}"))

    assert output(tmp_path / "out") != output(undisturbed)[:30]


def test_a_model_section_is_as_good_as_a_run(undisturbed: Path, run: Path, tmp_path: Path) -> None:
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

    assert output(tmp_path / "out") == output(undisturbed)[:30]


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
