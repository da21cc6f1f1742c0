"""Files to read and ways to read them."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from fairseq2_jest.corpus.config import CleaningConfig, CorpusConfig
from fairseq2_jest.corpus.prepare import PreparedCorpus, prepare_corpus


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, bytes], Path]:
    """Write bytes to a file of the test, compressed as its suffix says."""

    def run(name: str, data: bytes) -> Path:
        path = tmp_path / name
        if path.suffix == ".gz":
            data = gzip.compress(data, mtime=0)
        elif path.suffix == ".zst":
            data = zstandard.compress(data)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    return run


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., PreparedCorpus]:
    """Prepare one corpus into a cache of the test, by default with no limit on rejects."""

    def run(cleaning: CleaningConfig | None = None, **values: Any) -> PreparedCorpus:
        values = {"split": "train", "direction": "eng_Latn-deu_Latn"} | values
        config = CorpusConfig(**values)
        if cleaning is None:
            cleaning = CleaningConfig(max_reject_share=1.0)
        return prepare_corpus(config, cleaning, tmp_path / "cache")

    return run


@pytest.fixture
def read_rejects() -> Callable[[PreparedCorpus], list[tuple[str, int, str]]]:
    """Return file name, line and reason of each line of the rejects log."""

    def run(prepared: PreparedCorpus) -> list[tuple[str, int, str]]:
        with open(prepared.folder / "rejects.tsv", encoding="utf-8", newline="\n") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        assert rows[0] == ["file", "line", "reason", "excerpt"]
        assert all(len(row) == 4 for row in rows)
        return [(Path(row[0]).name, int(row[1]), row[2]) for row in rows[1:]]

    return run
