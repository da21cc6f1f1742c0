"""Influence of the judged pairs on trusted ones."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.bitext import Pair
from benchmarks.influence.lab import Lab, Setting
from benchmarks.noise_detection.models import TrainedModels, tokenize
from benchmarks.noise_detection.pairs import Scores
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.curvature_config import DampingConfig

NUM_SEEDS = 256

SETTINGS = {
    "damping 0.1": Setting(num_seeds=NUM_SEEDS),
    "damping 10, decoder": Setting(
        num_seeds=NUM_SEEDS,
        damping=DampingConfig(kind="relative", value=10.0),
        layers="decoder",
    ),
    "no curvature": Setting(num_seeds=NUM_SEEDS, method="none"),
}


def influence_scores(
    models: TrainedModels, pairs: Sequence[Pair], trusted: Sequence[Pair], scratch: Path
) -> dict[str, Scores]:
    """Minus the mean influence on trusted pairs drawn at random, at two models."""
    tokenized = tokenize(pairs, models.tokenizer)

    seeds = tokenize(random.Random(2).sample(list(trusted), NUM_SEEDS), models.tokenizer)

    def read(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], TokenizedPairs]:
        return rows, tokenized.take(rows.tolist())

    scores = {}

    for told, model in (
        ("trusted model", models.trusted_model),
        ("trusted model after a short fine-tune on the judged pairs", models.adapted_model),
    ):
        lab = Lab(
            model,
            models.tokenizer,
            pool=read,
            num_pool_pairs=len(pairs),
            pairs=tokenized,
            seeds=seeds,
            scratch=scratch / told,
        )

        for name, setting in SETTINGS.items():
            mean: Scores = lab.influence(setting).mean(axis=1, dtype=np.float64)

            scores[f"influence at the {told}, {name}"] = -mean

        print(f"influence at the {told} done", flush=True)

    return scores
