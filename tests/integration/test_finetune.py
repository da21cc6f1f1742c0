from __future__ import annotations

import json
from pathlib import Path
from shutil import rmtree

import pytest
import torch
from fairseq2.runtime.dependency import DependencyContainer

from fairseq2_jest.cache import CACHE_DIR_VARIABLE, cache_dir
from fairseq2_jest.embedding.builtin_reference import (
    BuiltinReferenceConfig,
    create_builtin_reference_encoder,
)
from fairseq2_jest.selection.errors import ResumeError
from tests.integration.runs import chosen, finetune, weights

STEPS = 4
REGIME = (
    f"regime.num_steps={STEPS}",
    "regime.validate_every_n_steps=2",
    "regime.checkpoint_every_n_steps=2",
    "regime.publish_metrics_every_n_steps=2",
)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")

    finetune(out, *REGIME)

    return out


def test_chooses_the_share_it_is_told(undisturbed: Path) -> None:
    log = chosen(undisturbed)

    assert [line["step"] for line in log] == list(range(1, STEPS + 1))

    for line in log:
        rows = line["rows"]
        assert isinstance(rows, list)
        assert len(set(rows)) == len(rows) == 12


def test_publishes_what_the_design_lists(undisturbed: Path) -> None:
    lines = (undisturbed / "metrics" / "train.jsonl").read_text(encoding="utf-8").splitlines()

    last = json.loads(lines[-1])

    assert last["total_num_seen"] == 60 * STEPS
    assert last["total_num_selected"] == 12 * STEPS
    assert last["noise_share_selected"] < last["noise_share_seen"]
    assert last["reference_score_selected"] > last["reference_score_passed_over"]
    assert 0.0 < last["selection_share"] < 1.0
    assert last["total_training_flops"] > 0 and last["total_selection_flops"] > 0
    assert {"redundancy", "selection_support", "learner_score_selected"} <= last.keys()

    (valid,) = (undisturbed / "metrics" / "valid").glob("eng_Latn-deu_Latn.jsonl")

    assert {"BLEU", "chrF++", "NLL Loss"} <= json.loads(
        valid.read_text(encoding="utf-8").splitlines()[-1]
    ).keys()


def test_a_resumed_run_ends_where_an_undisturbed_one_does(
    undisturbed: Path, tmp_path: Path
) -> None:
    # The first half of the same run, then the whole of it in the same place.
    finetune(tmp_path, *REGIME, "regime.num_steps=2")

    assert len(chosen(tmp_path)) == 2

    # What a kill in the middle of a line leaves behind.
    with (tmp_path / "selection.jsonl").open("a", encoding="utf-8") as log:
        log.write('{"step": 3, "rows": [1, 2')

    finetune(tmp_path, *REGIME)

    assert chosen(tmp_path) == chosen(undisturbed)

    expected, actual = weights(undisturbed, STEPS), weights(tmp_path, STEPS)

    assert expected.keys() == actual.keys()
    for name, weight in expected.items():
        assert torch.equal(weight, actual[name]), name


def test_the_reducible_loss_is_computed_once_and_resumes(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reducible = (
        *REGIME,
        "batch_selector.config.learner_view=reducible_loss",
        "batch_selector.config.shortlist=0.5",
        "reference_model.family=nllb",
        "reference_model.arch=tiny_builtin",
        f"reference_model.path={undisturbed / 'checkpoints' / f'step_{STEPS}' / 'model'}",
    )

    cache = tmp_path / "cache"
    cache.mkdir()

    # All but what has been embedded and scored.
    for name in ("builtin", "corpora"):
        (cache / name).symlink_to(cache_dir() / name)

    monkeypatch.setenv(CACHE_DIR_VARIABLE, str(cache))

    whole, halved = tmp_path / "whole", tmp_path / "halved"

    finetune(whole, *reducible)

    def filling_flops(out: Path) -> float:
        lines = (out / "metrics" / "train.jsonl").read_text(encoding="utf-8").splitlines()

        last = json.loads(lines[-1])

        # The learner begins at random, the reference model has been trained.
        assert last["reference_loss_selected"] < last["learner_loss_selected"]

        return float(last["total_filling_flops"])

    assert filling_flops(whole) > 0.0

    # As if nothing had been scored.
    rmtree(cache / "embeddings")

    finetune(halved, *reducible, "regime.num_steps=2")
    finetune(halved, *reducible)

    assert chosen(halved) == chosen(whole)
    assert filling_flops(halved) == filling_flops(whole)

    expected, actual = weights(whole, STEPS), weights(halved, STEPS)

    for name, weight in expected.items():
        assert torch.equal(weight, actual[name]), name

    # Whoever comes next is served from the store.
    finetune(tmp_path / "again", *reducible)

    assert chosen(tmp_path / "again") == chosen(whole)
    assert filling_flops(tmp_path / "again") == 0.0


def test_another_corpus_is_not_resumed(undisturbed: Path, tmp_path: Path) -> None:
    finetune(tmp_path, *REGIME, "regime.num_steps=2")

    with pytest.raises(ResumeError, match="not the one this run was started with"):
        finetune(tmp_path, *REGIME, "dataset.train_split=trusted")


def test_pairs_below_a_reference_score_are_never_seen(tmp_path: Path) -> None:
    finetune(
        tmp_path,
        *REGIME,
        "batch_selector.name=iid",
        "batch_selector.config={batch_size: 100}",
        "dataset.train_split=valid",
        "dataset.min_reference_score=0.65",
        "selection_audit.every_n_steps=1",
        "selection_audit.num_pairs=100",
    )

    rows = {row for line in chosen(tmp_path) for row in line["rows"]}

    # Another view of the same: the scores that the reference gives the texts that were trained on.
    encoder = create_builtin_reference_encoder(DependencyContainer(), BuiltinReferenceConfig())

    lines = (tmp_path / "selection_audit.jsonl").read_text(encoding="utf-8").splitlines()

    pairs = [pair for line in lines for pair in json.loads(line)["pairs"]]

    assert {pair["row"] for pair in pairs} == rows
    source = encoder.encode([pair["source"] for pair in pairs])
    target = encoder.encode([pair["target"] for pair in pairs])

    scores = (source * target).sum(axis=1)

    assert 20 < len(rows) < 450
    assert scores.min() > 0.649
