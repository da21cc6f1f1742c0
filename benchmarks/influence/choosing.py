"""Ways to choose k pairs of the labelled pool, `fairseq2 mt select` among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.arms import run_program
from benchmarks.configs import write_config
from benchmarks.influence.pools import Pool
from fairseq2_jest.embedding.reference import SentenceTransformerConfig, SentenceTransformerEncoder

Rows: TypeAlias = NDArray[np.int64]

QUANTILE = 0.3
"""The share of the pool that passes the rule where the choice is spread."""

NUM_CLUSTERS = 64

Chooser: TypeAlias = Callable[[Pool, int, int], Rows]
"""Takes a pool, k and a seed to k rows."""


def at_random(pool: Pool, num_chosen: int, seed: int) -> Rows:
    return _lot(pool.rows, num_chosen, seed)


def clean_at_random(pool: Pool, num_chosen: int, seed: int) -> Rows:
    """What nobody could know: only clean pairs."""
    labels = np.array(pool.corpus.labels(pool.rows))

    return _lot(np.flatnonzero(labels == "clean"), num_chosen, seed)


def everything(pool: Pool, num_chosen: int, seed: int) -> Rows:
    return pool.rows


def best_by_reference(pool: Pool, num_chosen: int, seed: int) -> Rows:
    encoder = SentenceTransformerEncoder(
        SentenceTransformerConfig(model=str(pool.reference), device="cpu")
    )

    source, target = (encoder.encode(side) for side in pool.corpus.texts(pool.rows))

    scores = (source * target).sum(axis=1)

    return np.sort(np.argsort(-scores, kind="stable")[:num_chosen])


def by_influence(*overrides: str, num_seeds: int = 128, spread: bool = True) -> Chooser:
    """G-DIG: the most helpful pairs, or an even draw from clusters of the better ones."""

    def choose(pool: Pool, num_chosen: int, seed: int) -> Rows:
        if spread:
            rule = ("rule.kind=quantile", f"rule.quantile={QUANTILE}")
        else:
            rule = ("rule.kind=top_k", f"rule.top_k={num_chosen}")

        drawn = num_chosen if spread else "null"

        return select(pool, num_seeds, *rule, f"diversity.num_selected={drawn}", *overrides)

    return choose


def select(pool: Pool, num_seeds: int, *overrides: str) -> Rows:
    """The rows that `mt select` chooses; of one number of seeds, scores are made once."""
    out = pool.out

    folder = out / f"select-{num_seeds}"

    file = write_config(out / f"select-{num_seeds}.yaml", _select_config(pool, num_seeds))

    run_program(
        ["select", folder, "--config-file", file, "--config", *overrides],
        out / f"select-{num_seeds}.log",
        f"Selecting by {num_seeds} seeds",
    )

    table = pq.read_table(folder / "scores.parquet", columns=["row", "chosen"])

    chosen = table["chosen"].to_numpy(zero_copy_only=False)

    rows: Rows = table["row"].to_numpy()[chosen]

    return rows


def _select_config(pool: Pool, num_seeds: int) -> Mapping[str, object]:
    return {
        "run": {"path": str(pool.warm_up)},
        "dataset": {
            "name": None,
            "family": "parallel_text",
            "config_overrides": pool.dataset,
            "num_seeds": num_seeds,
            "allow_seeds_in_pool": True,
            "max_seq_len": pool.max_seq_len,
            "max_num_tokens": 2048,
        },
        # What found planted noise best.
        "layers": {
            "pattern": r"decoder\.layers\.(?P<layer>\d+)\.ffn\.\w+_proj",
            "stride": 1,
        },
        "curvature": {
            "num_pairs": 1000,
            "num_shards": 1,
            "damping": {"kind": "relative", "value": 10.0},
        },
        "diversity": {"num_clusters": NUM_CLUSTERS, "projection_side": 10},
        "reference_encoder": {
            "name": "sentence_transformer",
            "config": {"model": str(pool.reference), "device": "cpu"},
        },
        "common": {"torch": {"num_threads": 1}},
    }


def _lot(rows: Rows, num_chosen: int, seed: int) -> Rows:
    drawn: Rows = np.sort(np.random.default_rng(seed).permutation(rows)[:num_chosen])

    return drawn
