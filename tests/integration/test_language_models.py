"""Runs of `mt finetune` and `mt translate` with decoder-only models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from fairseq2.models.llama import get_llama_model_hub
from fairseq2.models.mistral import get_mistral_model_hub
from fairseq2.nn import BatchLayout
from peft import PeftModel

from fairseq2_jest.adapters.lora import LoraAdapter
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.cli.export import run as export
from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.models.hugging_face.causal import find_converter
from fairseq2_jest.training.errors import TrainingError
from tests import translating
from tests.hugging_face import library, texts
from tests.integration.forked import run_program
from tests.integration.runs import TINY, chosen, finetune, weights
from tests.integration.test_adapters import plain_names

STEPS = 12

REGIME = (
    "optimizer.config.lr=0.005",
    "validation.max_num_examples=2",
    "seq2seq_generator.config.max_gen_len=12",
    *(f"regime.{name}_every_n_steps=6" for name in ("validate", "checkpoint", "publish_metrics")),
)

LORA = (
    "adapter.name=lora",
    "adapter.config.rank=8",
    # What a random base lacks.
    r"adapter.config.train_beside=['decoder_frontend\.embed','final_proj']",
)

NO_VALIDATION = ("dataset.valid_split=null", "regime.score_metric=null")

ARMS = {
    "llama": ("regime.export_hugging_face=true", f"regime.checkpoint_every_n_steps={STEPS}"),
    "mistral": ("model.family=mistral", "batch_selector.config.learner_view=loss"),
    "llama-lora": LORA,
    "mistral-lora": ("model.family=mistral", *LORA),
}


def train(out: Path, *overrides: str, steps: int = STEPS) -> None:
    finetune(out, *REGIME, f"regime.num_steps={steps}", *overrides, preset="demo-llm")


@pytest.fixture(scope="module", params=ARMS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    out = tmp_path_factory.mktemp("run")

    train(out, *ARMS[request.param])

    return request.param, out


def valid_metrics(out: Path) -> list[dict[str, Any]]:
    (file,) = (out / "metrics" / "valid").glob("*.jsonl")

    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_it_learns_what_joint_selection_chooses(run: Any) -> None:
    name, out = run

    lines = (out / "metrics" / "train.jsonl").read_text(encoding="utf-8").splitlines()

    first, last = (json.loads(line) for line in lines)

    assert last["NLL Loss"] < first["NLL Loss"] - 0.4
    assert last["noise_share_selected"] < last["noise_share_seen"]
    assert last["selection_flops"] > 0

    before, after = valid_metrics(out)

    assert after["NLL Loss"] < before["NLL Loss"] - 0.1
    assert {"BLEU", "chrF++"} <= after.keys()

    if "lora" in name:
        early, late = weights(out, 6), weights(out, STEPS)

        changed = {key for key, value in late.items() if not value.equal(early[key])}

        assert changed == {
            key
            for key in late
            if ".lora_" in key or key.startswith(("final_proj", "decoder_front"))
        }


def test_it_resumes_bit_for_bit(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"

    options = (
        "model.family=mistral",
        *LORA,
        "dataset.valid_split=null",
        "regime.score_metric=null",
    )

    train(whole, *options, steps=12)
    train(parts, *options, steps=6)
    train(parts, *options, steps=12)

    assert chosen(whole) == chosen(parts)

    expected, actual = weights(whole, 12), weights(parts, 12)

    assert expected.keys() == actual.keys()
    assert all(value.equal(actual[key]) for key, value in expected.items())


def test_its_run_translates_and_resumes(run: Any, tmp_path: Path) -> None:
    name, out = run

    if name not in ("llama", "mistral-lora"):
        pytest.skip("One of a kind is enough.")

    lines = translating.source_lines(25)

    source = translating.write_lines(tmp_path / "in.txt", lines)

    overrides = (
        f"run.path={out}",
        f"input.path={source}",
        "translation.max_source_len=128",
        "prompt.template='nothing of {src_text}'",
    )

    folder = tmp_path / "out"

    translating.finish(translating.start(folder, *overrides))

    translations = translating.output(folder)

    assert [bool(line) for line in lines if not line] == [
        bool(t) for line, t in zip(lines, translations, strict=True) if not line
    ]

    # The template is the run's, whatever the config says.
    said = (folder / "config.yaml").read_text(encoding="utf-8")

    assert "{src_lang}: {src_text} {trg_lang}:" in said
    assert "nothing of" not in said

    kept = translating.shards(folder)

    (block,) = folder.glob("shards/*0001*")
    block.unlink()

    translating.finish(translating.start(folder, *overrides))

    assert translating.shards(folder) == kept
    assert translating.output(folder) == translations


@torch.no_grad()
def fairseq2_model(name: str, out: Path) -> tuple[Any, Any]:
    """The last checkpoint of a run as it was trained, its adapter beside its layers, and its
    config."""
    library()

    family = name.partition("-")[0]

    hub: Any = get_llama_model_hub() if family == "llama" else get_mistral_model_hub()

    config = hub.get_arch_config("tiny_builtin")

    model = hub.create_new_model(config, dtype=torch.float32)

    if "lora" in name:
        beside = [r"decoder_frontend\.embed", "final_proj"]

        LoraAdapter(LoraConfig(rank=8, train_beside=beside)).attach(model, family=family, seed=0)

    model.load_state_dict(weights(out, STEPS))

    return model.eval(), config


@torch.no_grad()
def test_its_export_is_the_same_in_transformers(run: Any, tmp_path: Path) -> None:
    name, out = run

    export([str(tmp_path / "merged"), str(out), "--step", str(STEPS)])

    causal: Any = transformers.AutoModelForCausalLM
    auto: Any = transformers.AutoTokenizer

    tokenizer = auto.from_pretrained(tmp_path / "merged")

    theirs = causal.from_pretrained(tmp_path / "merged").eval()

    model, config = fairseq2_model(name, out)

    prompts = [tokenizer(f"English: {text} German:")["input_ids"][:12] for text in texts(60)]

    seqs = torch.tensor([prompt for prompt in prompts if len(prompt) == 12])

    assert len(seqs) > 5 and seqs.max() < config.vocab_size

    expected = model(seqs, BatchLayout.of(seqs))

    torch.testing.assert_close(theirs(input_ids=seqs).logits, expected, rtol=0.0, atol=1e-5)

    if name == "llama":
        of_the_run = causal.from_pretrained(out / "checkpoints" / f"step_{STEPS}" / "hg")

        torch.testing.assert_close(of_the_run(input_ids=seqs).logits, expected, rtol=0.0, atol=1e-5)

    if "lora" not in name:
        with pytest.raises(UsageError, match="have no adapter; leave --adapter out"):
            export([str(tmp_path / "alone"), str(out), "--adapter"])

        return

    export([str(tmp_path / "alone"), str(out), "--step", str(STEPS), "--adapter"])

    base: dict[str, Any] = dict(plain_names(model.state_dict()))

    # What was trained itself is not of the base; the adapter brings it along.
    for key in ("decoder_frontend.embed.weight", "final_proj.weight"):
        base[key].zero_()

    converted = find_converter(name.partition("-")[0]).to_hg_state_dict(base, config)

    theirs.load_state_dict(converted)

    adapted = PeftModel.from_pretrained(theirs, tmp_path / "alone").eval()

    torch.testing.assert_close(adapted(input_ids=seqs).logits, expected, rtol=0.0, atol=1e-5)


def test_pairs_that_are_too_long_are_passed_over_and_counted(tmp_path: Path) -> None:
    train(
        tmp_path,
        "dataset.max_seq_len=38",
        "dataset.max_num_tokens=38",
        *NO_VALIDATION,
        steps=1,
    )

    (line,) = (tmp_path / "metrics" / "train.jsonl").read_text(encoding="utf-8").splitlines()

    record = json.loads(line)

    assert 0 < record["num_too_long"] < record["num_seen"] == 60


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (("prompt.template=nothing",), UsageError, r"`template` must contain \{src_text\}"),
        (("tokenizer.name=builtin-ende",), EmbeddingError, r"not one of a language model"),
        (
            ("model.family=wav2vec2", "model.arch=base"),
            TrainingError,
            r"family wav2vec2 are neither encoder-decoder models nor language models; name one of",
        ),
        (("dataset.max_seq_len=600",), TrainingError, r"max_seq_len is 600, but the model takes"),
        (("seq2seq_generator.name=nonsense",), UsageError, r"nonsense"),
    ],
)
def test_what_cannot_be_is_told(
    tmp_path: Path, options: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(tmp_path, "dataset.max_num_tokens=4096", *options, steps=1)


def test_a_check_takes_a_language_model(tmp_path: Path) -> None:
    finished = run_program(
        *("mt", "check", "finetune", "--preset", "demo-llm", "--config", *TINY),
        folder=tmp_path,
    )

    assert finished.code == 0, finished.err
