"""Runs of `mt finetune` with transformers' own language models, and back to transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import constants
from peft import PeftModel
from torch import Tensor
from transformers.utils import hub

from fairseq2_jest.cli.export import run as export
from fairseq2_jest.models.hugging_face.language_tokenizer import language_tokenizer
from tests.hugging_face import LANGUAGE_MODEL_SIZE, texts
from tests.integration.runs import chosen, finetune
from tests.unit.language_models import language_tokenizer as tiny_tokenizer
from tests.unit.language_models import sentencepiece_file

NAME = "somebody/tiny"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Qwen, whose tables are tied, as the hub's cache has what was downloaded."""
    cache = tmp_path / "hub"

    repository = cache / f"models--{NAME.replace('/', '--')}"

    folder, refs = repository / "snapshots" / "0123", repository / "refs"

    refs.mkdir(parents=True)

    (refs / "main").write_text(folder.name)

    tokenizer = language_tokenizer(tiny_tokenizer(), sentencepiece_file())

    tokenizer.save_pretrained(folder)

    kls: Any = transformers.Qwen2Config

    config = kls(
        vocab_size=len(tokenizer),
        **LANGUAGE_MODEL_SIZE,
        max_position_embeddings=256,
        tie_word_embeddings=True,
    )

    with torch.random.fork_rng():
        torch.manual_seed(1)

        model: Any = transformers.AutoModelForCausalLM

        model.from_config(config).save_pretrained(folder)

    # They are read when the libraries are imported.
    for module, name, value in (
        (constants, "HF_HUB_CACHE", str(cache)),
        (constants, "HF_HUB_OFFLINE", True),
        (hub, "TRANSFORMERS_CACHE", str(cache)),
        (hub, "_is_offline_mode", True),
    ):
        monkeypatch.setattr(module, name, value)

    return folder


@torch.no_grad()
def logits(model: Any, seqs: Tensor) -> Tensor:
    output: Tensor = model.eval()(input_ids=seqs).logits

    return output


def test_a_run_is_exported_merged_and_alone(folder: Path, tmp_path: Path) -> None:
    out, merged, alone = (tmp_path / name for name in ("out", "merged", "alone"))

    options = (
        *("model.family=hg", "model.arch=causal_lm", f"model.config_overrides.hf_name={NAME}"),
        *("tokenizer.name=null", "tokenizer.family=hg", f"tokenizer.path={folder}"),
        *("adapter.name=lora", "adapter.config.rank=3", "optimizer.config.lr=0.05"),
        r"adapter.config.train_beside=['.*\.embed_tokens']",
        *("dataset.valid_split=null", "regime.score_metric=null"),
        *("regime.checkpoint_every_n_steps=1", "regime.publish_metrics_every_n_steps=1"),
    )

    finetune(out, *options, "regime.num_steps=1", preset="demo-llm")

    # It goes on from what it saved.
    finetune(out, *options, "regime.num_steps=2", preset="demo-llm")

    assert len(chosen(out)) == 2

    export([str(merged), str(out)])
    export([str(alone), str(out), "--adapter"])

    causal: Any = transformers.AutoModelForCausalLM

    base, exported = (causal.from_pretrained(path) for path in (folder, merged))

    auto: Any = transformers.AutoTokenizer

    prompts = [auto.from_pretrained(merged)(text)["input_ids"] for text in texts(12)]

    seqs = torch.tensor([prompt[:12] for prompt in prompts if len(prompt) >= 12])

    expected = logits(exported, seqs)

    assert not torch.allclose(logits(base, seqs), expected, atol=1e-2)

    adapted = PeftModel.from_pretrained(base, alone)

    torch.testing.assert_close(logits(adapted, seqs), expected, rtol=0.0, atol=1e-5)

    peft_config: Any = adapted.peft_config["default"]

    assert peft_config.base_model_name_or_path == NAME

    card = (merged / "README.md").read_text(encoding="utf-8")

    assert f"base_model: {NAME}\n" in card
