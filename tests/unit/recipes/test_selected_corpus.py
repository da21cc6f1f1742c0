from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from fairseq2.utils.config import StandardConfigMerger

from fairseq2_jest.corpus.config import CorpusConfig, ParallelTextConfig
from fairseq2_jest.corpus.dataset import open_parallel_text
from fairseq2_jest.recipes.select.selected_corpus import write_corpus

DIRECTION = "eng_Latn-deu_Latn"

SYNTHETIC = {"dataset": {"config_overrides": {"synthetic_corpora": [{"split": "train"}]}}}


def corpus(folder: Path, name: str, split: str, *, synthetic: bool = False) -> CorpusConfig:
    file = folder / f"{name}.tsv"

    file.write_text("".join(f"{name} {i}.\tDas ist {i}.\n" for i in range(3)), encoding="utf-8")

    return CorpusConfig(split=split, direction=DIRECTION, path=file, synthetic=synthetic)


def write(folder: Path) -> Path:
    origin = ParallelTextConfig(
        corpora=[corpus(folder, "genuine", "train"), corpus(folder, "valid", "valid")],
        synthetic_corpora=[corpus(folder, "synthetic", "train", synthetic=True)],
        cache_dir=folder / "cache",
    )

    pool = open_parallel_text(origin).open("train")

    (folder / "out").mkdir()

    return write_corpus(folder / "out", pool, np.array([1, 4]), origin)


def test_nothing_of_the_pool_is_left_but_what_was_chosen(tmp_path: Path) -> None:
    write(tmp_path)

    card = yaml.safe_load((tmp_path / "out" / "assets" / "selected.yaml").read_text("utf-8"))

    config = card["dataset_config"]

    named = [c for key in ("corpora", "synthetic_corpora") for c in config.get(key, [])]

    names = {(c["split"], Path(c["path"]).name, c["synthetic"]) for c in named}

    assert names == {
        ("train", f"selected.{DIRECTION}.parquet", False),
        ("train", f"selected.{DIRECTION}.synthetic.parquet", True),
        ("valid", "valid.tsv", False),
    }


def test_it_goes_together_with_synthetic_pairs_in_either_order(tmp_path: Path) -> None:
    selected = yaml.safe_load(write(tmp_path).read_text("utf-8"))

    before = {"dataset": {"name": "pool", "config_overrides": {"corpora": [{"split": "train"}]}}}

    for layers in ([selected, SYNTHETIC], [SYNTHETIC, selected]):
        config: Any = before

        for layer in layers:
            config = StandardConfigMerger().merge(config, layer)

        assert config["dataset"]["name"] == "selected-pairs"
        assert config["dataset"]["config_overrides"] == SYNTHETIC["dataset"]["config_overrides"]
