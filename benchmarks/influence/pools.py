"""The pools that pairs are chosen from, each with the model that is trained on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fairseq2.utils.structured import StandardValueConverter
from numpy.typing import NDArray

from benchmarks.arms import run_folder
from benchmarks.builtin import split
from benchmarks.configs import write_config
from benchmarks.influence.setup import POOL, fine_tune, pretrained_model, warm_up_run, write_splits
from benchmarks.real_bitext import prepare_multi30k, pretrain
from fairseq2_jest.corpus.config import ParallelTextConfig
from fairseq2_jest.corpus.dataset import Corpus, open_parallel_text
from fairseq2_jest.embedding.builtin_reference import ensure_builtin_reference

CLEANING: Mapping[str, Any] = {"reject_copies": True, "max_reject_share": 0.25}
"""As in the card of the built-in corpus: no reference score tells a copy from a translation."""


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A labelled pool, what is trusted beside it, and what fine-tunes on it have in common."""

    corpus: Corpus
    """Its pairs."""

    out: Path
    """Where what is made of it is kept."""

    model: Path
    """The model that fine-tunes begin with; it has seen no pair of the pool."""

    warm_up: Path
    """The run at whose model gradients are taken."""

    reference: Path
    """The folder of the reference encoder."""

    dataset: Mapping[str, Any]
    """The data set's configuration, with the pool as ``train`` and what is trusted as ``seeds``."""

    max_seq_len: int
    """The most tokens of a side."""

    valid: Mapping[str, Any]
    """The corpus that fine-tunes are judged by."""

    sections: Mapping[str, Any]
    """What fine-tunes set over the preset: model, tokenizer, reference."""

    @property
    def rows(self) -> NDArray[np.int64]:
        return np.arange(len(self.corpus))

    def write_config(self, file: Path, train: Mapping[str, Any]) -> Path:
        """Writes the config of a fine-tune on ``train``, and returns it."""
        dataset = dict(self.sections.get("dataset", {}))

        dataset["config_overrides"] = {"corpora": [train, self.valid]}

        return write_config(file, {**self.sections, "dataset": dataset})


def open_builtin_pool(out: Path) -> Pool:
    """The built-in corpus, half of it noise of several kinds."""
    dataset = {
        "corpora": [split("train", **POOL), split("seeds", part="trusted", size=8_000)],
        "cleaning": CLEANING,
    }

    return Pool(
        corpus=_open_train(dataset),
        out=out,
        model=pretrained_model(out),
        warm_up=warm_up_run(out, write_splits(out)),
        reference=ensure_builtin_reference(),
        dataset=dataset,
        max_seq_len=96,
        valid=split("valid", part="valid", size=500),
        sections={},
    )


def open_multi30k_pool(out: Path, data: Path) -> Pool:
    """Image captions, half of the targets moved to other sources.

    :param data: The folder of ``multi30k-ende``.

    :raises FileNotFoundError: It is not there.
    """
    out = out / "multi30k"

    config = prepare_multi30k(data, out)

    model = pretrain(config, out)

    sections = json.loads(config.read_text(encoding="utf-8"))

    corpora = {
        corpus["split"]: corpus for corpus in sections["dataset"]["config_overrides"]["corpora"]
    }

    dataset = {"corpora": [corpora["train"], {**corpora["trusted"], "split": "seeds"}]}

    return Pool(
        corpus=_open_train(dataset),
        out=out,
        model=model,
        warm_up=run_folder(out, fine_tune(out, config, model, "train")),
        reference=out / "reference",
        dataset=dataset,
        max_seq_len=sections["dataset"]["max_seq_len"],
        valid=corpora["valid"],
        sections=sections,
    )


def _open_train(dataset: Mapping[str, Any]) -> Corpus:
    config: ParallelTextConfig = StandardValueConverter().structure(dataset, ParallelTextConfig)

    return open_parallel_text(config).open("train")
