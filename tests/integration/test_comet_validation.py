"""COMET in the validations of `mt finetune`, with a program in its place."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from fairseq2.task import TaskStopException

from fairseq2_jest.evaluation.errors import EvaluationError
from fairseq2_jest.recipes.export.card import write_card
from fairseq2_jest.report.runs import read_run
from tests.fake_comet import count, overlap, sent, write_fake
from tests.integration.forked import fork, rank_environments, run_program
from tests.integration.runs import TINY, finetune, weights

REGIME = tuple(
    f"regime.{name}_every_n_steps=1" for name in ("validate", "checkpoint", "publish_metrics")
)

BY_COMET = (
    *REGIME,
    "regime.score_metric=comet",
    "regime.num_steps=3",
    "validation.bleu=false",
    "validation.chrf=false",
)


def comet_of(folder: Path, **plan: object) -> tuple[Path, str]:
    """A program in COMET's place, and what makes a run use it."""
    program = write_fake(folder, **plan)

    return program, f"validation.comet={{python: {program}}}"


def recorded(out: Path) -> list[float]:
    """The scores of the validations."""
    (file,) = (out / "metrics" / "valid").glob("*.jsonl")

    return [json.loads(line)["COMET"] for line in file.read_text(encoding="utf-8").splitlines()]


def steps(out: Path) -> set[str]:
    return {folder.name for folder in (out / "checkpoints").glob("step_*")}


def test_the_checkpoint_that_comet_likes_best_is_kept(tmp_path: Path) -> None:
    program, comet = comet_of(tmp_path / "env", scores=[0.25, 0.75, 0.5])

    out = tmp_path / "out"

    finetune(
        out,
        *BY_COMET,
        comet,
        "regime.keep_best_n_checkpoints=1",
        "regime.keep_last_n_checkpoints=null",
    )

    assert recorded(out) == [0.25, 0.75, 0.5]
    # fairseq2 keeps the last one to go on from, too.
    assert "step_2" in steps(out) and "step_1" not in steps(out)
    assert count(program, "starts") == 1 and count(program, "requests") == 3

    # What the run was judged by is on the card of what is exported.
    write_card(tmp_path / "card.md", read_run(out), 2)

    card = (tmp_path / "card.md").read_text(encoding="utf-8")

    assert "| 0.7500 |" in card and " COMET |" in card
    assert "COMET|model:Unbabel/wmt22-comet-da|revision:r1|precision:fp16|version:2.2.7" in card
    assert "chrF++" not in card.split("## Data")[0]


def test_comet_is_given_the_texts_and_ends_a_run_that_no_longer_gets_better(
    tmp_path: Path,
) -> None:
    program, comet = comet_of(tmp_path / "env", scores=[0.5, 0.4, 0.6])

    with pytest.raises(TaskStopException):
        finetune(tmp_path / "out", *BY_COMET, comet, "early_stopping.patience=1")

    assert recorded(tmp_path / "out") == [0.5, 0.4]

    # What has ended is not begun again.
    finetune(tmp_path / "out", *BY_COMET, comet, "early_stopping.patience=1")

    assert recorded(tmp_path / "out") == [0.5, 0.4]

    samples = sent(program)[0]

    # As many as `validation.max_num_examples` says.
    assert len(samples) == 4
    assert all(sample["src"] and sample["ref"] for sample in samples)


def test_all_ranks_are_scored_by_the_first(tmp_path: Path) -> None:
    """The same weights on one rank and on two: the same texts in the same order."""
    fixed = (
        "regime.num_steps=1",
        "optimizer.config.lr=0.0",
        "model.config_overrides.dropout_p=0.0",
        "validation.max_num_examples=12",
        "dataset.max_num_tokens=96",
    )

    programs = []

    for num_ranks in (1, 2):
        program, comet = comet_of(tmp_path / f"env{num_ranks}")

        call = partial(finetune, tmp_path / f"out{num_ranks}", *BY_COMET, *fixed, comet)

        ranks = [fork(call, tmp_path, env) for env in rank_environments(num_ranks)]

        for rank in ranks:
            finished = rank.wait()

            assert finished.code == 0, finished.err[-2000:]

        assert count(program, "starts") == 1

        programs.append(program)

    (alone,), (together,) = map(sent, programs)

    assert alone == together and len(alone) == 12
    assert recorded(tmp_path / "out1") == recorded(tmp_path / "out2")
    assert recorded(tmp_path / "out1") == [
        pytest.approx(sum(overlap(s["mt"], s["ref"]) for s in alone) / 12)
    ]


def test_a_run_whose_comet_dies_for_good_goes_on_from_where_it_was(tmp_path: Path) -> None:
    _, comet = comet_of(tmp_path / "env", dies_at=[2, 3])

    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"

    short = (*BY_COMET, "regime.num_steps=2", comet)

    with pytest.raises(EvaluationError, match=r"ended twice .* validation\.comet\.batch_size"):
        finetune(out, *short)

    assert len(recorded(out)) == 1

    # It works again.
    comet_of(tmp_path / "env")

    finetune(out, *short)
    finetune(undisturbed, *short)

    for name, weight in weights(undisturbed, 2).items():
        assert torch.equal(weight, weights(out, 2)[name])

    assert recorded(out)[-1] == recorded(undisturbed)[-1]


def test_scores_of_two_versions_are_not_mixed(tmp_path: Path) -> None:
    _, comet = comet_of(tmp_path / "env")

    out = tmp_path / "out"

    finetune(out, *BY_COMET, comet, "regime.num_steps=1")

    _, comet = comet_of(tmp_path / "env", version="2.3.0")

    with pytest.raises(EvaluationError, match=r"version 2\.2\.7, and this is 2\.3\.0: validation"):
        finetune(out, *BY_COMET, comet)


@pytest.mark.parametrize("command", ["finetune", "check"])
def test_without_comet_a_sentence_says_so_before_a_model_is_loaded(
    command: str, tmp_path: Path
) -> None:
    head = ("finetune", "OUT") if command == "finetune" else ("check",)

    options = (*TINY, *BY_COMET, "validation.comet.python=nowhere/python")

    result = run_program(
        *("mt", *head, "--preset", "demo-jest", "--config", *options), folder=tmp_path
    )

    said = " ".join(result.err.split())

    assert result.code == 2
    assert "validation.comet.python is" in said and "which is no program" in said
    assert "Traceback" not in said and "model.dtype" not in said
    assert not list(tmp_path.glob("OUT/checkpoints/*"))


def test_a_score_that_is_not_asked_for_cannot_choose(tmp_path: Path) -> None:
    result = run_program(
        *("mt", "check", "--preset", "demo-jest", "--config", *TINY, "regime.score_metric=comet"),
        folder=tmp_path,
    )

    assert result.code == 2
    assert "`validation.comet` must be asked for to be `regime.score_metric`" in result.err
