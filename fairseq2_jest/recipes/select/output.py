"""What leaves a selection: the chosen pairs, a config that trains on them, all scores."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.influence.rule import ScoreSummary

_ROWS_AT_ONCE = 8192

TABLE_NAME = "scores.parquet"
CONFIG_NAME = "selected.yaml"


def write_table(
    folder: Path,
    pool: Corpus,
    summary: ScoreSummary,
    passed: NDArray[np.int64],
    clusters: NDArray[np.int32] | None,
    chosen: NDArray[np.int64],
) -> None:
    """Writes a row for each pair of the pool: its scores, its cluster, chosen or not and why.

    :param clusters: The cluster of each pair that passed, ``None`` where nothing was clustered.
    """
    cluster_of = np.full(len(pool), -1, dtype=np.int32)

    if clusters is not None:
        cluster_of[passed] = clusters

    reasons = np.where(summary.is_scored, "did not pass the rule", "too long")
    reasons[passed] = "passed, not drawn"
    reasons[chosen] = "chosen"

    is_chosen = np.zeros(len(pool), dtype=np.bool_)
    is_chosen[chosen] = True

    def batches() -> Iterator[pa.RecordBatch]:
        for begin in range(0, len(pool), _ROWS_AT_ONCE):
            rows = np.arange(begin, min(begin + _ROWS_AT_ONCE, len(pool)), dtype=np.int64)

            directions = [str(pool.directions[i]) for i in pool.direction_index(rows)]

            yield pa.record_batch(
                {
                    "row": pa.array(rows),
                    "id": pa.array(pool.ids(rows), pa.string()),
                    "direction": pa.array(directions, pa.string()),
                    "label": pa.array(pool.labels(rows), pa.string()),
                    "mean_influence": _nullable(summary.mean[rows]),
                    "min_influence": _nullable(summary.minimum[rows]),
                    "helpful_fraction": _nullable(summary.helpful_fraction[rows]),
                    "cluster": pa.array(cluster_of[rows], mask=cluster_of[rows] < 0),
                    "chosen": pa.array(is_chosen[rows]),
                    "reason": pa.array(reasons[rows].tolist(), pa.string()),
                }
            )

    _write(folder / TABLE_NAME, batches())


def write_corpus(folder: Path, pool: Corpus, chosen: NDArray[np.int64]) -> Path:
    """Writes the chosen pairs, a file for each direction, and the config that reads them.

    :returns: The config, for ``mt finetune --config-file``.
    """
    corpora = []

    directions, synthetic = pool.direction_index(chosen), pool.synthetic(chosen)

    for index, direction in enumerate(pool.directions):
        for is_synthetic in (False, True):
            rows = chosen[(directions == index) & (synthetic == is_synthetic)]

            if len(rows) == 0:
                continue

            tail = ".synthetic" if is_synthetic else ""

            file = folder / f"selected.{direction}{tail}.parquet"

            _write(file, _pairs(pool, rows))

            corpora.append((direction, file, is_synthetic))

    config = folder / CONFIG_NAME

    # The pairs were cleaned when the pool was read.
    lines = [
        "# fairseq2 mt finetune OUT --preset jest --config-file THIS: trains on what was selected.",
        "",
        "dataset:",
        "  name: null",
        "  family: parallel_text",
        "  train_split: train",
        "  valid_split: null",
        "  config_overrides:",
        "    cleaning: {max_chars: 1000000000, max_length_ratio: .inf}",
        "    corpora:",
    ]

    for direction, file, is_synthetic in corpora:
        lines += [
            "      - split: train",
            f"        direction: {direction}",
            f"        path: {_quoted(file.absolute())}",
            f"        synthetic: {str(is_synthetic).lower()}",
            *(["        label_column: label"] if pool.is_labelled else []),
        ]

    scratch = config.with_name(f".{config.name}.tmp")

    scratch.write_text("\n".join(lines) + "\n", encoding="utf-8")
    scratch.replace(config)

    return config


def _pairs(pool: Corpus, rows: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    for begin in range(0, len(rows), _ROWS_AT_ONCE):
        part = rows[begin : begin + _ROWS_AT_ONCE]

        source, target = pool.texts(part)

        yield pa.record_batch(
            {
                "source": pa.array(source, pa.string()),
                "target": pa.array(target, pa.string()),
                "label": pa.array(pool.labels(part), pa.string()),
                "id": pa.array(pool.ids(part), pa.string()),
                "row": pa.array(part),
            }
        )


def _write(file: Path, batches: Iterator[Any]) -> None:
    """Writes all or nothing."""
    scratch = file.with_name(f".{file.name}.tmp")

    first = next(batches)

    with pq.ParquetWriter(scratch, first.schema) as writer:
        writer.write_batch(first)

        for batch in batches:
            writer.write_batch(batch)

    scratch.replace(file)


def _nullable(values: NDArray[np.float32]) -> Any:
    return pa.array(values, mask=np.isnan(values))


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
