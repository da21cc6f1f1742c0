"""bergson's side, run by the Python of its environment, which has nothing of this one.

Its pipeline ``hessian``, step by step, with its defaults: gradients of seeds whole, on the disk.
It loads the model again in each step, which is measured with the step; importing is not.
"""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from pathlib import Path
from time import process_time
from typing import Any

from benchmarks.influence.speed.measuring import Measured, measure
from benchmarks.influence.speed.sides import BERGSON, MAX_NUM_TOKENS, NUM_CURVATURE_PAIRS, Job


def main() -> None:
    told, handed_over, folder = sys.argv[1:]

    job, source, out = Job.parse(told), Path(handed_over), Path(folder)

    out.mkdir(parents=True)

    for name in ("pool", "seeds"):
        _save_rows(source / f"{name}.json", out / "data" / name)

    config = _config(source, out)

    measure(out, BERGSON, job, lambda: measure_bergson(config, out, job.damping))


def measure_bergson(config: Any, out: Path, damping: float) -> Measured:
    """
    :param config: bergson's ``IndexConfig``, of the pool.
    """
    from bergson.build import build_query
    from bergson.config.config import (
        DataConfig,
        HessianConfig,
        InversionConfig,
        PreprocessConfig,
        QuerySetConfig,
        ScoreConfig,
    )
    from bergson.data import load_scores
    from bergson.hessians.apply_hessian import EkfacConfig, apply_worker
    from bergson.hessians.hessian_approximations import approximate_hessians
    from bergson.score.score import score_dataset

    def step(name: str, data: str, split: str = "train") -> Any:
        own = deepcopy(config)

        own.run_path = str(out / name)
        own.data = DataConfig(dataset=str(out / "data" / data), split=split)

        return own

    begin = process_time()

    approximate_hessians(
        step("hessian", "pool", f"train[:{NUM_CURVATURE_PAIRS}]"),
        HessianConfig(method="kfac", use_dataset_labels=True),
    )

    fitted = process_time()

    seeds = step("seeds", "seeds")

    build_query(seeds, QuerySetConfig.from_data(seeds.data), PreprocessConfig())

    apply_worker(
        0,
        0,
        1,
        EkfacConfig(
            hessian_method_path=str(out / "hessian"),
            gradient_path=seeds.run_path,
            run_path=str(out / "preconditioned"),
            ev_correction=False,
        ),
        InversionConfig(inversion="damped_inverse", damping_factor=damping),
    )

    pool = step("scores", "pool")

    score_dataset(pool, ScoreConfig(query_path=str(out / "preconditioned")), PreprocessConfig())

    end = process_time()

    return Measured(
        curvature_seconds=fitted - begin,
        scoring_seconds=end - fitted,
        scores=-load_scores(Path(pool.run_path))[:],
    )


def _config(source: Path, out: Path) -> Any:
    """What all steps have in common; the model is loaded once, so that imports are done."""
    from bergson.collector.collector import HookCollectorBase
    from bergson.config.config import DistributedConfig, IndexConfig
    from bergson.utils.worker_utils import setup_model_and_peft

    config = IndexConfig(
        run_path=str(out / "none"),
        model=str(source / "model"),
        token_batch_size=MAX_NUM_TOKENS,
        loss_reduction="sum",
        distributed=DistributedConfig(nnode=1, nproc_per_node=1),
    )

    model, _ = setup_model_and_peft(config)

    layers = json.loads((source / "layers.json").read_text(encoding="utf-8"))

    others = HookCollectorBase.discover_targets(model.base_model).keys() - set(layers)

    # It is told what to leave out.
    config.filter_modules = ",".join(sorted(others))

    return config


def _save_rows(source: Path, folder: Path) -> None:
    """Saves the rows of a file as the data set that bergson reads."""
    from datasets import Dataset

    rows = json.loads(source.read_text(encoding="utf-8"))

    Dataset.from_list([{**row, "length": len(row["input_ids"])} for row in rows]).save_to_disk(
        str(folder)
    )


if __name__ == "__main__":
    main()
