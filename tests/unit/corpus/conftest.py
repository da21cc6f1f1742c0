"""Files to read and ways to read them."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from fairseq2_jest.corpus.config import CleaningConfig, CorpusConfig
from fairseq2_jest.corpus.prepare import PreparedCorpus, prepare_corpus

DIRECTION = "eng_Latn-deu_Latn"

Rejects = list[tuple[str, int, str]]


def write_bytes(path: Path, data: bytes) -> Path:
    """Write ``data`` to ``path``, compressed as its suffix says."""
    if path.suffix == ".gz":
        data = gzip.compress(data, mtime=0)
    elif path.suffix == ".zst":
        data = zstandard.compress(data)
    path.write_bytes(data)
    return path


def jsonl(*rows: object) -> bytes:
    return b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in rows)


def read_rejects(prepared: PreparedCorpus) -> Rejects:
    """Return file name, line and reason of each line of the rejects log."""
    with open(prepared.folder / "rejects.tsv", encoding="utf-8", newline="\n") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[0] == ["file", "line", "reason", "excerpt"]
    assert all(len(row) == 4 for row in rows)
    return [(Path(row[0]).name, int(row[1]), row[2]) for row in rows[1:]]


Prepare = Callable[..., PreparedCorpus]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Prepare one corpus into a cache of the test, by default with no limit on rejects."""

    def run(cleaning: CleaningConfig | None = None, **values: object) -> PreparedCorpus:
        config = CorpusConfig(**{"split": "train", "direction": DIRECTION, **values})  # type: ignore[arg-type]
        if cleaning is None:
            cleaning = CleaningConfig(max_reject_share=1.0)
        return prepare_corpus(config, cleaning, tmp_path / "cache")

    return run
