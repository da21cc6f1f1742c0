"""Runs of `mt finetune` with LoRA: what is trained, resumed, loaded and exported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from torch import Tensor

from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.cli.export import run as export
from fairseq2_jest.cli.usage import UsageError
from tests import translating
from tests.hugging_face import make_folder, texts
from tests.integration.forked import run_program
from tests.integration.runs import chosen, finetune, weights
from tests.integration.test_ranks import start
from tests.unit.models.parity import logits, ours, padded, theirs

STEPS = 4

REGIME = (
    "optimizer.config.lr=0.01",
    "dataset.max_seq_len=128",
    "seq2seq_generator.config.max_gen_len=10",
    f"regime.num_steps={STEPS}",
    "regime.validate_every_n_steps=2",
    "regime.checkpoint_every_n_steps=2",
    "regime.publish_metrics_every_n_steps=2",
)

LORA = (*REGIME, "adapter.name=lora", "adapter.config.rank=3")

MIXED = ("trainer.mixed_precision.mode=auto",)

SAMPLE = texts(12)


@pytest.fixture(scope="module", params=["mbart50", "nllb"])
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder that a run began from, and the run; the learner has a say in its choices."""
    folder = make_folder(
        tmp_path_factory.mktemp("base"), request.param, shuffled=True, max_position_embeddings=128
    )

    out = tmp_path_factory.mktemp("run")

    finetune(out, *LORA, f"model.name={folder}")

    return folder, out


def plain_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.replace(".base_layer.", "."): v for key, v in state.items() if ".lora_" not in key}


def sources(folder: Path) -> list[Tensor]:
    return [torch.tensor(theirs(folder)[1](text)["input_ids"][:30]) for text in SAMPLE]


@torch.no_grad()
def logits_in_peft(base: Path, adapter: Path) -> Tensor:
    import transformers

    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(base)

    model = PeftModel.from_pretrained(model, adapter).eval()

    ids, _, mask = padded(sources(base), theirs(base)[1].pad_token_id)

    outputs: Tensor = model(
        input_ids=ids, attention_mask=mask.long(), decoder_input_ids=ids
    ).logits[mask]

    return outputs


def test_only_the_adapter_changes_and_has_optimizer_state(runs: Any) -> None:
    folder, out = runs

    first, last = weights(out, 2), weights(out, STEPS)

    changed = {key for key, value in last.items() if not value.equal(first[key])}

    assert changed == {key for key in last if ".lora_" in key}

    base = ours(folder)[0].state_dict()

    frozen = plain_names(last)

    assert frozen.keys() == base.keys()
    assert all(value.equal(base[key]) for key, value in frozen.items())

    (file,) = (out / "checkpoints" / f"step_{STEPS}" / "optimizer").rglob("*.pt")

    states = torch.load(file, weights_only=False)["state"].values()

    assert sum(state["exp_avg"].numel() for state in states) == sum(
        last[key].numel() for key in changed
    )


def test_a_run_says_what_is_trained(runs: Any) -> None:
    state = weights(runs[1], STEPS)

    trained = sum(value.numel() for key, value in state.items() if ".lora_" in key)

    log = (runs[1] / "logs" / "rank_0.log").read_text(encoding="utf-8")

    assert f"Adapter lora: {trained:,} of " in log
    assert "gradients and AdamW's state take " in log


def test_a_run_selects_and_resumes(runs: Any, tmp_path: Path) -> None:
    folder, out = runs

    finetune(tmp_path, *LORA, f"model.name={folder}", "regime.num_steps=2")
    finetune(tmp_path, *LORA, f"model.name={folder}")

    assert chosen(tmp_path) == chosen(out)

    for step in (2, STEPS):
        expected, actual = weights(out, step), weights(tmp_path, step)

        assert expected.keys() == actual.keys()
        assert all(value.equal(actual[key]) for key, value in expected.items())

    with pytest.raises(AdapterError, match=r"begun with the adapter lora \(rank: 3, .* none; go b"):
        finetune(tmp_path, *REGIME, f"model.name={folder}")

    with pytest.raises(AdapterError, match=r"cannot go on with lora \(rank: 4"):
        finetune(tmp_path, *LORA, f"model.name={folder}", "adapter.config.rank=4")


def test_it_is_exported_merged_and_alone_and_both_are_the_same(runs: Any, tmp_path: Path) -> None:
    folder, out = runs

    merged, alone = tmp_path / "merged", tmp_path / "alone"

    export([str(merged), str(out)])
    export([str(alone), str(out), "--adapter"])

    expected = logits_in_peft(folder, alone)

    # The merged model in fairseq2 and in transformers.
    for actual in logits(merged, sources(folder), sources(folder)):
        torch.testing.assert_close(actual, expected, rtol=0.0, atol=1e-5)

    untuned, _ = logits(folder, sources(folder), sources(folder))

    assert not torch.allclose(untuned, expected, atol=1e-3)

    assert "library_name: peft" in (alone / "README.md").read_text(encoding="utf-8")


def test_what_fairseq2_exports_during_a_run_is_merged(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "base", "nllb", max_position_embeddings=128)

    out = tmp_path / "run"

    finetune(
        out,
        *LORA,
        f"model.name={folder}",
        "regime.num_steps=1",
        "dataset.valid_split=null",
        "regime.export_hugging_face=true",
    )

    export([str(tmp_path / "merged"), str(out)])

    expected, actual = (
        theirs(path)[0].state_dict()
        for path in (tmp_path / "merged", out / "checkpoints" / "step_1" / "hg")
    )

    assert expected.keys() == actual.keys()
    assert all(value.equal(actual[key]) for key, value in expected.items())
    assert not all(value.equal(theirs(folder)[0].state_dict()[k]) for k, value in actual.items())


def test_a_run_translates_as_its_export_does(runs: Any, tmp_path: Path) -> None:
    _, out = runs

    export([str(tmp_path / "merged"), str(out)])

    source = translating.write_lines(tmp_path / "in.txt", list(SAMPLE))

    overrides = (f"input.path={source}", "translation.max_source_len=120")

    by_run = (f"run.path={out}",)
    by_export = ("run.path=null", f"model.name={tmp_path / 'merged'}")

    for name, options in (("run", by_run), ("export", by_export)):
        translating.finish(translating.start(tmp_path / name, *overrides, *options))

    assert translating.output(tmp_path / "run") == translating.output(tmp_path / "export")


@pytest.mark.parametrize(
    ("parallelism", "base_dtype", "similarity"),
    [
        ("ddp", "bfloat16", 0.999),
        ("fsdp", "bfloat16", 0.999),
        pytest.param("ddp", "nf4", 0.99, marks=pytest.mark.slow),
    ],
)
def test_two_ranks_train_resume_and_export(
    parallelism: str, base_dtype: str, similarity: float, tmp_path: Path, request: Any
) -> None:
    """In few bits and with DoRA's magnitudes, which FSDP must not mind."""
    if base_dtype == "nf4":
        request.getfixturevalue("nf4_without_a_gpu")

    folder = make_folder(tmp_path / "base", "nllb", shuffled=True, max_position_embeddings=128)

    options = (
        *LORA,
        f"model.name={folder}",
        f"trainer.data_parallelism={parallelism}",
        *MIXED,
        "adapter.config.dora=true",
        f"adapter.config.base_dtype={base_dtype}",
        "dataset.max_num_tokens=256",
        *("dataset.valid_split=null", "regime.validate_every_n_steps=null"),
        "regime.score_metric=null",
    )

    def run(out: Path, *more: str) -> None:
        for rank in start(2, out, *options, *more):
            finished = rank.wait()

            assert finished.code == 0, finished.err[-2000:]

    whole, halved = tmp_path / "whole", tmp_path / "halved"

    run(whole)

    run(halved, "regime.num_steps=2")
    run(halved)

    assert chosen(halved) == chosen(whole)

    files = sorted((whole / "checkpoints" / f"step_{STEPS}" / "model").rglob("*.pt"))

    assert len(files) == (2 if parallelism == "fsdp" else 1)

    for file in files:
        expected = torch.load(file, weights_only=True)
        actual = torch.load(halved / file.relative_to(whole), weights_only=True)

        assert all(value.equal(actual[key]) for key, value in expected.items())

    export([str(tmp_path / "merged"), str(whole)])
    export([str(tmp_path / "alone"), str(whole), "--adapter"])

    # The base was rounded in the one and is not in the other.
    expected_logits = logits_in_peft(folder, tmp_path / "alone")

    actual_logits, _ = logits(tmp_path / "merged", sources(folder), sources(folder))

    assert torch.nn.functional.cosine_similarity(actual_logits, expected_logits).min() > similarity


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("adapter.name=lorra",), "adapter.name is 'lorra', which is not known; did you mean lora"),
        (("adapter.config.rank=0",), "`rank` must be at least 1, but is 0."),
        (("adapter.config.rnak=4",), "adapter.config.rnak is not a known config key"),
        (
            ("adapter.config.targets=[query]",),
            "adapter.config.targets has query, which matches no linear layer; mend it",
        ),
        (
            ("adapter.config.base_dtype=bfloat16",),
            "`trainer.mixed_precision.mode` must be auto where `adapter.config.base_dtype` is b",
        ),
        (
            ("adapter.config.base_dtype=nf4", *MIXED, "trainer.data_parallelism=fsdp"),
            "`trainer.data_parallelism` must be ddp where `adapter.config.base_dtype` is nf4",
        ),
        (
            ("adapter.config.base_dtype=nf4", *MIXED, "gang.tensor_parallel_size=2"),
            "`gang.tensor_parallel_size` must be 1 where `adapter.config.base_dtype` is nf4",
        ),
        (
            ("adapter.config.base_dtype=nf4", *MIXED),
            "`adapter.config.base_dtype: nf4` needs a CUDA GPU, but the model is trained on cpu",
        ),
        (
            (),
            "lora: 180,224 of 1,362,432 parameters are trained, 13.23%; the weights take 5.4 MB",
        ),
    ],
)
def test_the_check_tells(overrides: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    finished = run_program(
        "mt", "check", "finetune", "--preset", "demo-jest",
        "--config", "adapter.name=lora", *overrides, folder=tmp_path,
    )  # fmt: skip

    assert sentence in finished.out + finished.err
    assert (finished.code == 0) == (overrides == ())
    assert "Traceback" not in finished.err


def test_a_run_without_an_adapter_has_none_to_export(tmp_path: Path) -> None:
    finetune(tmp_path / "run", "regime.num_steps=1", "dataset.valid_split=null")

    with pytest.raises(UsageError, match="have no adapter; leave --adapter out"):
        export([str(tmp_path / "out"), str(tmp_path / "run"), "--adapter"])

    assert not (tmp_path / "out").exists()
