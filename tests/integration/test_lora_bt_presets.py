"""The presets after arXiv 2511.12109, with a tiny model in the place of Mistral 7B."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fairseq2.recipe.run import run

from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe
from tests.fake_comet import count, write_fake
from tests.integration.forked import run_program
from tests.integration.runs import chosen, load

WARNING = "warning: The learning rate ends at 19% of `optimizer.config.lr`"

OVERRIDES = (
    "model={name: null, family: mistral, arch: tiny_builtin}",
    "tokenizer.name=builtin-ende-lm",
    "dataset={name: builtin-ende, family: null, max_seq_len: 192}",
    "prompt.template='{src_lang}: {src_text} {trg_lang}:'",
    "adapter.config.base_dtype=null",
    "trainer.mixed_precision.mode=off",
    "validation.max_num_examples=2",
    "seq2seq_generator.config.max_gen_len=8",
)


@pytest.fixture
def overrides(tmp_path: Path) -> list[str]:
    return [*OVERRIDES, f"validation.comet.python={write_fake(tmp_path / 'comet')}"]


@pytest.mark.parametrize(
    ("preset", "is_warned"), [("wmt25-mistral-lora-bt", True), ("lora-bt", False)]
)
def test_the_published_schedule_is_warned_of_and_the_other_fits(
    preset: str, is_warned: bool, overrides: list[str], tmp_path: Path
) -> None:
    result = run_program("mt", "check", "--preset", preset, "--config", *overrides, folder=tmp_path)

    assert result.code == 0, result.err[-3000:]
    assert (WARNING in result.out) == is_warned


def test_the_published_preset_runs_and_chooses_by_comet(
    overrides: list[str], tmp_path: Path
) -> None:
    config: Any = load(
        "wmt25-mistral-lora-bt",
        [
            *overrides,
            "batch_selector.config.batch_size=16",
            "common.no_sweep_dir=true",
            "regime.num_steps=2",
            "regime.publish_metrics_every_n_steps=1",
            "regime.validate_every_n_steps=1",
            "regime.checkpoint_every_n_steps=1",
        ],
    )

    assert (config.lr_scheduler.name, config.adapter.name) == ("cosine_annealing", "lora")

    out = tmp_path / "out"

    run(FinetuneRecipe(), config, out, no_rich=True, no_progress=True)

    assert len(chosen(out)) == 2

    # The fake COMET's share of words in common.
    score = float((out / "checkpoints" / "scores" / "step_2.txt").read_text())

    assert 0.0 <= score <= 1.0
    assert count(tmp_path / "comet" / "python", "requests") == 2
