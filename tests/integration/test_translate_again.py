"""`mt translate`: a second run in the same place goes on, or is refused."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from fairseq2_jest.cli.main import main
from fairseq2_jest.translation.errors import TranslationError
from fairseq2_jest.translation.result import Translation
from fairseq2_jest.translation.shards import Shards
from tests.integration.forked import Finished, fork
from tests.integration.runs import weights
from tests.translating import (
    LINES,
    arguments,
    check_translation_kills,
    finish,
    log_of,
    output,
    shards,
    start,
    start_ranks,
    translate,
    write_lines,
)


def copy_without_output(undisturbed: Path, out: Path) -> None:
    """As if killed when all blocks were there, and their lines not yet in one file."""
    shutil.copytree(undisturbed, out)

    (out / "translations.txt").unlink()


def test_another_number_of_ranks_goes_on(
    undisturbed: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    copy_without_output(undisturbed, out)

    # A block was not there yet, and the disk has lost half of another.
    (out / "shards" / "00000003.jsonl").unlink()
    (out / "shards" / "00000006.jsonl").write_bytes(shards(undisturbed)["00000006.jsonl"][:50])

    finish(*start_ranks(2, out, f"run.path={run}", f"input.path={source}"))

    assert "7 of 9 blocks of lines are translated already" in log_of(out)
    assert shards(out) == shards(undisturbed)
    assert output(out) == output(undisturbed)


def test_a_killed_translation_resumes_to_the_same_bytes_at_two_points(tmp_path: Path) -> None:
    check_translation_kills(tmp_path, num_kills=2, seed=1)


def test_what_is_complete_is_not_translated_again(
    undisturbed: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    copy_without_output(undisturbed, out)

    before = {file: file.stat().st_mtime_ns for file in (out / "shards").iterdir()}

    num_loads = log_of(out).count("Loading checkpoint_step_1 model")

    assert num_loads == 1

    finish(start(out, f"run.path={run}", f"input.path={source}"))

    assert output(out) == output(undisturbed)
    assert {file: file.stat().st_mtime_ns for file in (out / "shards").iterdir()} == before
    assert log_of(out).count("Loading checkpoint_step_1 model") == num_loads

    # Nor is it for another form.
    finish(start(out, f"run.path={run}", f"input.path={source}", "output.format=jsonl"))

    rows = (out / "translations.jsonl").read_text(encoding="utf-8").splitlines()

    assert [json.loads(row)["hypothesis"] if row else "" for row in rows] == output(undisturbed)
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
    override: str, difference: str, undisturbed: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    shutil.copytree(undisturbed, out)

    finished = start(out, f"run.path={run}", f"input.path={source}", *override.split()).wait()

    assert finished.code == 2 and "Traceback" not in finished.err
    assert f"{out} holds translations with another {difference}; name another" in finished.err
    assert output(out) == output(undisturbed) and shards(out) == shards(undisturbed)


def test_another_input_or_model_is_refused_and_moved_ones_are_not(
    undisturbed: Path, run: Path, source: Path, tmp_path: Path
) -> None:
    out, moved = tmp_path / "out", tmp_path / "moved"

    shutil.copytree(undisturbed, out)
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
    assert output(out) == output(undisturbed)


def test_standard_input_is_saved_and_resumed(
    undisturbed: Path, run: Path, source: Path, tmp_path: Path
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
    assert output(out) == output(undisturbed)

    (out / "shards" / "00000002.jsonl").unlink()

    assert piped(source.read_bytes()).code == 0
    assert "8 of 9 blocks of lines are translated already" in log_of(out)
    assert output(out) == output(undisturbed)

    refused = piped(b"other\n")

    assert "holds translations with another input.sha256" in refused.err

    damaged = piped(b"fine\n\xff\n")

    assert "stdin:2 is not UTF-8" in damaged.err
    assert (out / "stdin").read_bytes() == source.read_bytes()
    assert output(out) == output(undisturbed)


def test_a_file_that_changes_meanwhile_is_told(run: Path, tmp_path: Path) -> None:
    file = write_lines(tmp_path / "in.txt", LINES[:30])

    def call() -> None:
        write = Shards.write

        def write_and_change(
            shards: Shards, block: int, translations: Sequence[Translation]
        ) -> None:
            write(shards, block, translations)

            os.truncate(file, 100)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Shards, "write", write_and_change)

            with pytest.raises(TranslationError, match="was changed while it was translated"):
                translate(tmp_path / "out", f"run.path={run}", f"input.path={file}")

    finished = fork(call, tmp_path).wait()

    assert finished.code == 0, finished.err[-2000:]
