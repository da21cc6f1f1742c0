"""What a selection tells: the scores of all pairs, and some numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.files import replacing, write_json
from fairseq2_jest.influence.diagnosis import Diagnosis, LayerDiagnosis
from fairseq2_jest.influence.rule import ScoreSummary
from fairseq2_jest.recipes.select.choosing import Choice
from fairseq2_jest.recipes.select.rows import blocks_of_rows

TABLE_NAME = "scores.parquet"
NUMBERS_NAME = "select.json"
DIAGNOSIS_NAME = "diagnosis.json"
PAGE_NAME = "select.html"


def write_table(
    folder: Path,
    pool: Corpus,
    summary: ScoreSummary,
    choice: Choice,
) -> None:
    """Writes a row for each pair of the pool: its scores, its cluster, chosen or not and why."""
    cluster_of = np.full(len(pool), -1, dtype=np.int32)

    if choice.clusters is not None:
        cluster_of[choice.passed] = choice.clusters

    reasons = np.where(summary.is_scored, "did not pass the rule", "too long")
    reasons[choice.passed] = "passed, not drawn"
    reasons[choice.chosen] = "chosen"

    is_chosen = np.zeros(len(pool), dtype=np.bool_)
    is_chosen[choice.chosen] = True

    def batches() -> Iterator[pa.RecordBatch]:
        for rows in blocks_of_rows(len(pool)):
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

    write_parquet(folder / TABLE_NAME, batches())


def write_numbers(folder: Path, numbers: Mapping[str, object]) -> None:
    """Writes what can be counted of a selection, as JSON."""
    write_json(folder / NUMBERS_NAME, numbers)


def write_diagnosis(folder: Path, diagnosis: Diagnosis) -> None:
    """Writes how influence came about, for the page."""
    write_json(folder / DIAGNOSIS_NAME, asdict(diagnosis))


def read_diagnosis(folder: Path) -> Diagnosis | None:
    """What :func:`write_diagnosis` wrote; ``None`` where it did not, or somebody changed it."""
    try:
        values = json.loads((folder / DIAGNOSIS_NAME).read_text(encoding="utf-8"))

        layers = [LayerDiagnosis(**layer) for layer in values["layers"]]

        return Diagnosis(**{**values, "layers": layers})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def write_parquet(file: Path, batches: Iterator[Any]) -> None:
    """Writes all or nothing, a row group for each batch."""
    first = next(batches)

    with replacing(file) as scratch, pq.ParquetWriter(scratch, first.schema) as writer:
        writer.write_batch(first)

        for batch in batches:
            writer.write_batch(batch)


def _nullable(values: NDArray[np.float32]) -> Any:
    return pa.array(values, mask=np.isnan(values))
