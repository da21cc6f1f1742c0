"""The chosen pairs as a data set that `mt finetune` takes at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fairseq2_jest.corpus.config import CorpusConfig, ParallelTextConfig
from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.files import write_text
from fairseq2_jest.recipes.select.output import write_parquet
from fairseq2_jest.recipes.select.rows import blocks_of_rows
from fairseq2_jest.recipes.yaml_text import to_yaml

CARD_NAME: Final = "selected-pairs"
CARD_FILE: Final = "assets/selected.yaml"
CONFIG_NAME: Final = "selected.yaml"

_SPLIT = "train"

_REPLACED: Final = [f.name for f in fields(ParallelTextConfig) if f.name != "synthetic_corpora"]


def write_corpus(
    folder: Path, pool: Corpus, chosen: NDArray[np.int64], origin: ParallelTextConfig
) -> Path:
    """Writes the chosen pairs, a file for each direction, with an asset card, and a config.

    The card has the other splits of the data set that the pool is of, too, to validate on.

    :param origin: That data set.

    :returns: The config, for ``mt finetune --config-file``.
    """
    folder = folder.absolute()

    others = [
        _at_absolute_paths(corpus)
        for corpus in (*origin.corpora, *origin.synthetic_corpora)
        if corpus.split not in (pool.split, _SPLIT)
    ]

    # What was cleaned once stays what it is.
    data = replace(
        origin, corpora=[*_write_pairs(folder, pool, chosen), *others], synthetic_corpora=[]
    )

    card = folder / CARD_FILE

    card.parent.mkdir(exist_ok=True)

    write_text(
        card,
        to_yaml(
            {"name": CARD_NAME, "dataset_family": "parallel_text", "dataset_config": _plain(data)}
        ),
    )

    config = folder / CONFIG_NAME

    splits = {corpus.split for corpus in others}

    write_text(
        config,
        "# fairseq2 mt finetune OUT --preset iid --config-file THIS: trains on what was chosen.\n\n"
        + to_yaml(
            {
                "dataset": {
                    "name": CARD_NAME,
                    "family": None,
                    # Synthetic pairs of another config go together with those that were chosen.
                    "config_overrides": {"_del_": _REPLACED},
                    "train_split": _SPLIT,
                    "valid_split": "valid" if "valid" in splits else None,
                },
                "common": {"assets": {"extra_paths": [str(card.parent)]}},
            }
        ),
    )

    return config


def _write_pairs(folder: Path, pool: Corpus, chosen: NDArray[np.int64]) -> list[CorpusConfig]:
    corpora = []

    directions, synthetic = pool.direction_index(chosen), pool.synthetic(chosen)

    for index, direction in enumerate(pool.directions):
        for is_synthetic in (False, True):
            rows = chosen[(directions == index) & (synthetic == is_synthetic)]

            if len(rows) == 0:
                continue

            tail = ".synthetic" if is_synthetic else ""

            file = folder / f"selected.{direction}{tail}.parquet"

            write_parquet(file, _pairs(pool, rows))

            corpora.append(
                CorpusConfig(
                    split=_SPLIT,
                    direction=str(direction),
                    path=file,
                    label_column="label" if pool.is_labelled else None,
                    synthetic=is_synthetic,
                )
            )

    return corpora


def _pairs(pool: Corpus, rows: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    for places in blocks_of_rows(len(rows)):
        part = rows[places]

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


def _at_absolute_paths(corpus: CorpusConfig) -> CorpusConfig:
    """Relative ones are meant from where the selection was started."""
    paths = {
        name: path.expanduser().absolute()
        for name in ("path", "source", "target")
        if (path := getattr(corpus, name)) is not None
    }

    return replace(corpus, **paths)


def _plain(value: object) -> Any:
    """As YAML has it, without what is ``None``, which it is by default."""
    if isinstance(value, (ParallelTextConfig, CorpusConfig)):
        return _plain(asdict(value))

    if isinstance(value, Mapping):
        return {key: _plain(element) for key, element in value.items() if element is not None}

    if isinstance(value, list):
        return [_plain(element) for element in value]

    return str(value) if isinstance(value, Path) else value
