"""Short runs of the demo presets in this process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from fairseq2.recipe.run import run

from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.cli.presets import find_preset
from fairseq2_jest.recipes.finetune.config import FinetuneConfig
from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe

TINY = (
    "common.no_sweep_dir=true",
    "common.torch.num_threads=1",
    "batch_selector.config.super_batch_size=60",
    "batch_selector.config.filter_ratio=0.8",
    # The preset saves the learner's pass, but tests are about all there is.
    "batch_selector.config.learner_weight=0.2",
    "dataset.valid_split=valid",
    "validation.max_num_examples=4",
    "regime.keep_last_n_checkpoints=null",
)


def load(preset: str, overrides: Sequence[str]) -> FinetuneConfig:
    sources = ConfigSources(
        preset=find_preset("finetune", preset).file, overrides=[list(overrides)]
    )

    with load_config(FinetuneRecipe(), sources) as (config, _):
        assert isinstance(config, FinetuneConfig)

        return config


def finetune(out: Path, *overrides: str, preset: str = "demo-jest") -> None:
    """A run of a preset that chooses 12 of each 60 pairs."""
    config = load(preset, [*TINY, *overrides])

    run(FinetuneRecipe(), config, out, no_rich=True, no_progress=True)


def chosen(out: Path) -> list[dict[str, Any]]:
    """The log of what was chosen."""
    lines = (out / "selection.jsonl").read_text(encoding="utf-8").splitlines()

    return [json.loads(line) for line in lines]


def weights(out: Path, step: int) -> dict[str, torch.Tensor]:
    """The model at a checkpoint."""
    (file,) = (out / "checkpoints" / f"step_{step}" / "model").rglob("*.pt")

    state: dict[str, torch.Tensor] = torch.load(file, weights_only=True)

    return state
