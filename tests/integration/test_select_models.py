"""`mt select` with a language model, and with a model that it warms up itself."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from tests.integration.forked import Forked, rank_environments, start_program
from tests.selecting import OVERRIDES, finish, log_of, make_corpora
from tests.unit.language_models import language_model, sentencepiece_file

PROMPTED = (*OVERRIDES, "dataset.max_seq_len=120", "dataset.max_num_tokens=1000", "layers.stride=1")

WARMUP = ("warmup.num_steps=3", "warmup.batch_size=8", "warmup.checkpoint_every_n_steps=1")


@pytest.fixture(scope="module")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpora(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the asset cards of a tiny LLaMA, and of one that was damaged."""
    folder = tmp_path_factory.mktemp("llama")

    shutil.copy(sentencepiece_file(), folder / "tokenizer.model")

    model = language_model("llama")

    torch.save({"model": model.state_dict()}, folder / "model.pt")

    with torch.no_grad():
        model.get_parameter("decoder.layers.0.ffn.inner_proj.weight")[0, 0] = torch.nan

    torch.save({"model": model.state_dict()}, folder / "damaged.pt")

    size = model.get_parameter("final_proj.weight").size(0)

    cards = [
        f"""
name: {name}
model_family: llama
model_config:
  {{model_dim: 16, max_seq_len: 128, vocab_size: {size}, num_layers: 2, num_attn_heads: 2,
  num_key_value_heads: 1, ffn_inner_dim: 24, ffn_inner_dim_scale: 1.0,
  ffn_inner_dim_multiple_of: 1}}
checkpoint: {folder / file}
tokenizer: {folder / "tokenizer.model"}
tokenizer_family: llama
"""
        for name, file in (("tiny-llama", "model.pt"), ("damaged-llama", "damaged.pt"))
    ]

    (folder / "cards.yaml").write_text("---".join(cards), encoding="utf-8")

    return folder


def start_prompted(out: Path, corpora: Path, card: Path, *overrides: str) -> Forked:
    return start_program(
        *("mt", "select", out, "--preset", "gdig-llm", "--no-rich", "--config-file", corpora),
        *("--config", *PROMPTED, "model.name=tiny-llama", "model.dtype=float32"),
        *("tokenizer.name=tiny-llama", f"common.assets.extra_paths=[{card}]", *overrides),
        folder=out.parent,
    )


def test_a_language_model_selects(corpora: Path, card: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    finish(start_prompted(out, corpora, card))

    table = pq.read_table(out / "scores.parquet").to_pydict()

    # Prompts are longer than texts.
    num_too_long = table["reason"].count("too long")

    assert 1 <= num_too_long < len(table["row"]) // 2
    assert sum(table["chosen"]) == 20

    means = [mean for mean in table["mean_influence"] if mean is not None]

    assert len(means) == len(table["row"]) - num_too_long
    assert np.std(means) > 0.0

    # Another prompt is another score.
    refused = start_prompted(out, corpora, card, "prompt.template='{src_text} ='").wait()

    assert refused.code == 2
    assert "holds scores with another" in refused.err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.name=damaged-llama"], "ffn.output_proj is not finite for row"),
        (["tokenizer.name=nllb-200"], "tokenizer"),
        (["prompt.template=Translate!"], "must contain {src_text}"),
        (
            ["dataset.max_seq_len=500"],
            "dataset.max_seq_len is 500, but the model takes at most 128",
        ),
    ],
)
def test_what_is_wrong_with_a_language_model_is_said(
    overrides: list[str], message: str, corpora: Path, card: Path, tmp_path: Path
) -> None:
    finished = start_prompted(tmp_path / "out", corpora, card, *overrides).wait()

    assert finished.code == 2, finished.err[-2000:]
    assert message in finished.err
    assert "Traceback" not in finished.err
    assert not list((tmp_path / "out").glob("selected*"))
    assert not list((tmp_path / "out").glob("curvature/**/*.safetensors"))


def start_warm(
    out: Path, corpora: Path, *overrides: str, env: dict[str, str] | None = None
) -> Forked:
    return start_program(
        *("mt", "select", out, "--preset", "demo-gdig", "--no-rich", "--config-file", corpora),
        *("--config", *OVERRIDES, *WARMUP, *overrides),
        folder=out.parent,
        env=env,
    )


def test_a_warm_up_that_was_killed_goes_on_to_the_same_choice(
    corpora: Path, tmp_path: Path
) -> None:
    alone, killed = tmp_path / "alone", tmp_path / "killed"

    finish(start_warm(alone, corpora))

    assert "Influence is meant for a model" not in log_of(alone)

    process = start_warm(killed, corpora)

    while process.process.is_alive() and not (killed / "warmup/checkpoints/step_1").exists():
        time.sleep(0.01)

    process.process.kill()
    process.wait()

    assert not (killed / "scores").exists()

    finish(start_warm(killed, corpora))

    tables = [pq.read_table(out / "scores.parquet") for out in (alone, killed)]

    assert tables[0] == tables[1]
    assert sum(tables[0].to_pydict()["chosen"]) == 20

    refused = start_warm(killed, corpora, "warmup.num_steps=4").wait()

    assert refused.code == 2
    assert "holds a warm-up with another num_steps (3, now 4)" in refused.err

    # A warm-up that ended may have no scores beside it, that would tell what it began with.
    (killed / "manifest.json").unlink()

    shutil.rmtree(killed / "scores")

    refused = start_warm(killed, corpora, "model.config_overrides={model_dim: 16}").wait()

    assert refused.code == 2
    assert "holds a warm-up with another model.config_overrides" in refused.err
    assert not (killed / "manifest.json").exists()


def test_ranks_warm_up_together(corpora: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    finish(*(start_warm(out, corpora, env=env) for env in rank_environments(2)))

    assert (out / "warmup" / "logs" / "rank_1.log").exists()
    assert "pairs are chosen" in log_of(out)
    assert sum(pq.read_table(out / "scores.parquet").to_pydict()["chosen"]) == 20
