"""This package's side."""

from __future__ import annotations

from pathlib import Path
from time import process_time
from typing import Final

import numpy as np
import torch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang

from benchmarks.influence.speed.measuring import Measured
from benchmarks.influence.speed.sides import MAX_NUM_TOKENS, NUM_CURVATURE_PAIRS
from benchmarks.influence.speed.workload import Workload
from fairseq2_jest.influence.curvature_config import CurvatureConfig, DampingConfig
from fairseq2_jest.influence.directions import directions_of
from fairseq2_jest.influence.fitting import Workplace, fit_curvature, fit_seeds, fit_subspaces
from fairseq2_jest.influence.gradients import GradientPass
from fairseq2_jest.influence.layers import last_block
from fairseq2_jest.influence.model import PairModel
from fairseq2_jest.influence.projection import TwoSidedProjection
from fairseq2_jest.influence.score_store import InfluenceStore
from fairseq2_jest.influence.scoring import PoolScorer
from fairseq2_jest.recipes.select.sections import ScoringConfig

_BLOCK_SIZE: Final = 2048


def measure_ours(work: Workload, out: Path, damping: float, max_discarded: float) -> Measured:
    """Features for clusters are taken in the same pass, as ``mt select`` does.

    :param max_discarded: The share of what influence varies by that may be left out.
    """
    data = work.data

    pairs = PairModel(work.model, data.tokenizer, device=CPU, max_num_tokens=MAX_NUM_TOKENS)

    gradients = GradientPass(pairs, work.layers, device=CPU)

    place = Workplace(out / "curvature", "benchmark", gang=FakeGang(CPU), device=CPU)

    num_rows, num_seeds = len(data.pool), len(data.seeds)

    relative = DampingConfig(kind="relative", value=damping)

    begin = process_time()

    with torch.no_grad():
        curvatures = fit_curvature(
            place,
            gradients,
            data.read_pool,
            min(NUM_CURVATURE_PAIRS, num_rows),
            CurvatureConfig(labels="empirical", num_pairs=NUM_CURVATURE_PAIRS, num_shards=1),
            seed=1,
        )

        fitted = process_time()

        subspaces = fit_subspaces(
            place,
            gradients,
            data.seeds,
            curvatures,
            relative,
            max_discarded=max_discarded,
            rank=ScoringConfig().rank,
            reduction="sum",
            num_shards=1,
        )

        seeds = fit_seeds(
            place, gradients, data.seeds, curvatures, subspaces, relative, reduction="sum"
        )

        directions = directions_of(
            {name: layer.cores for name, layer in seeds.items()}, curvatures, subspaces
        )

        projection = TwoSidedProjection(last_block(gradients.layers), side=20, seed=0, device=CPU)

        scorer = PoolScorer(gradients, directions, projection, reduction="sum")

        store = InfluenceStore.open(
            out / "scores",
            identity={"identity": "benchmark"},
            num_rows=num_rows,
            num_seeds=num_seeds,
            precision="float32",
            feature_dim=scorer.feature_dim,
            block_size=_BLOCK_SIZE,
        )

        for block in range(store.num_blocks):
            rows, tokens = data.read_pool(store.rows(block))

            found = scorer.score(tokens, rows.tolist())

            store.write(block, found.influence.numpy(), found.features.numpy())

    end = process_time()

    return Measured(
        curvature_seconds=fitted - begin,
        scoring_seconds=end - fitted,
        scores=np.concatenate([scores for _, scores in store.blocks()]),
    )
