"""The mBART presets with a tiny folder of Hugging Face's as the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.recipe.run import run
from safetensors.torch import load_file

from fairseq2_jest.cli.export import run as export
from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe
from tests.hugging_face import make_folder
from tests.integration.forked import run_program
from tests.integration.runs import TINY, chosen, load, weights
from tests.unit.models.parity import theirs

CORPORA = (
    "{split: train, direction: en_XX-de_DE, builtin: {part: pool, size: 400}}",
    "{split: valid, direction: eng_Latn-deu_Latn, builtin: {part: valid, size: 20}}",
)

OVERRIDES = (
    *TINY,
    f"dataset.config_overrides={{corpora: [{', '.join(CORPORA)}]}}",
    "dataset.max_seq_len=128",
    "reference_encoder={name: builtin, config: {}}",
    "trainer.mixed_precision.mode=off",
    "lr_scheduler={name: passthrough, config: null}",
    "optimizer.config.lr=0.001",
    "seq2seq_generator.config.max_gen_len=10",
    "regime.validate_every_n_steps=2",
    "regime.checkpoint_every_n_steps=2",
    "regime.publish_metrics_every_n_steps=2",
)


def train(out: Path, folder: Path, num_steps: int) -> None:
    config = load(
        "jest-mbart50", [*OVERRIDES, f"model.name={folder}", f"regime.num_steps={num_steps}"]
    )

    run(FinetuneRecipe(), config, out, no_rich=True, no_progress=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(
        tmp_path_factory.mktemp("model"), "mbart50", shuffled=True, max_position_embeddings=128
    )


def test_jest_mbart50_selects_resumes_and_exports(folder: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"

    train(whole, folder, 4)

    train(parts, folder, 2)
    train(parts, folder, 4)

    log = chosen(whole)

    assert [len(line["rows"]) for line in log] == [12] * 4
    assert chosen(parts) == log

    before, after = load_file(folder / "model.safetensors"), weights(whole, 4)

    for name, weight in weights(parts, 4).items():
        assert torch.equal(weight, after[name]), name

    assert torch.equal(after["final_proj.weight"], after["encoder_frontend.embed.weight"])
    assert torch.equal(after["final_proj.bias"], before["final_logits_bias"][0])
    assert not torch.equal(after["final_proj.weight"], before["model.shared.weight"])

    export([str(tmp_path / "out"), str(parts)])

    model, tokenizer = theirs(tmp_path / "out")

    assert type(model).__name__ == "MBartForConditionalGeneration"
    assert torch.equal(model.model.shared.weight, after["final_proj.weight"])
    assert tokenizer.get_vocab() == theirs(folder)[1].get_vocab()

    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")

    assert "joint" in card and "off_diagonal: contrastive" in card


def test_the_baseline_trains_on_what_it_reads(folder: Path) -> None:
    shared = ("common", "dataset", "model", "trainer", "optimizer", "regime")

    ours: Any = load("jest-mbart50", [f"model.name={folder}"])
    baseline: Any = load("iid-mbart50", [f"model.name={folder}"])

    assert baseline.batch_selector.name == "iid"
    assert baseline.batch_selector.config.batch_size == 400

    for name in shared:
        assert getattr(ours, name) == getattr(baseline, name), name


def test_the_preset_of_the_paper_names_what_to_fetch(folder: Path, tmp_path: Path) -> None:
    args = ("mt", "check", "--preset", "jest-paper-mbart", "--config", f"model.name={folder}")

    result = run_program(*args, folder=tmp_path)

    assert result.code != 0 and "CCMatrix.en-fa.en" in result.err

    # Any text stands for Persian.
    pairs = list(generate(BuiltinConfig(part="trusted", size=120)))

    devtest = tmp_path / "flores200_dataset" / "devtest"
    devtest.mkdir(parents=True)

    for file, column in (
        (tmp_path / "CCMatrix.en-fa.en", 0),
        (tmp_path / "CCMatrix.en-fa.fa", 1),
        (devtest / "eng_Latn.devtest", 0),
        (devtest / "pes_Arab.devtest", 1),
    ):
        file.write_text("".join(f"{(p.source, p.target)[column]}\n" for p in pairs), "utf-8")

    small = (
        "dataset.max_seq_len=128",
        "batch_selector.config.super_batch_size=100",
        "reference_encoder.name=builtin",
    )

    result = run_program(*args, *small, folder=tmp_path)

    assert result.code == 0, result.err[-2000:]
    assert "train: 120 pairs, eng_Latn-pes_Arab" in result.out
    assert "joint: trains on 10 of each 100 pairs" in result.out


def test_the_preset_of_the_paper_is_as_printed(folder: Path) -> None:
    config: Any = load("jest-paper-mbart", [f"model.name={folder}"])

    joint = config.batch_selector.config

    assert (joint.super_batch_size, joint.num_chunks, joint.filter_ratio) == (4000, 4, 0.9)
    assert (joint.learner_weight, joint.reference_weight) == (0.2, 0.8)
    assert (joint.off_diagonal, joint.joint_terms, joint.temperature) == ("paper", "sum", "raw")
    # 518,000 pairs.
    assert config.regime.num_steps * 400 == 518_000
