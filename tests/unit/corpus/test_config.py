from __future__ import annotations

import subprocess
import sys
from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
import yaml
from fairseq2.utils.structured import StandardValueConverter
from fairseq2.utils.validation import StandardObjectValidator, ValidationError

from fairseq2_jest.corpus.config import (
    CleaningConfig,
    CorpusConfig,
    CorpusFormat,
    ParallelTextConfig,
    corpus_format,
)
from fairseq2_jest.corpus.dataset import open_parallel_text
from fairseq2_jest.corpus.errors import CorpusError

CARD = """
corpora:
  - {split: train, direction: eng_Latn-deu_Latn, source: a.en.gz, target: a.de.gz, weight: 2}
  - {split: train, direction: eng_Latn-fra_Latn, path: a.tsv, source_column: 3, target_column: 1}
  - {split: train, direction: eng_Latn-fra_Latn, path: a.jsonl, source_column: text}
  - {split: valid, direction: eng_Latn-deu_Latn, path: data, format: parquet, synthetic: true}
  - {split: test, direction: eng_Latn-deu_Latn, builtin: {part: test, size: 10}}
cleaning: {max_chars: 500, max_length_ratio: .inf}
cache_dir: ~/cache
"""


def test_a_card_is_structured_and_back() -> None:
    converter = StandardValueConverter()
    config = converter.structure(yaml.safe_load(CARD), ParallelTextConfig)
    StandardObjectValidator().validate(config)

    formats = [corpus_format(c) for c in config.corpora]
    assert formats == ["text", "tsv", "jsonl", "parquet", "builtin"]
    assert config.corpora[0].source == Path("a.en.gz")
    assert config.corpora[0].weight == 2.0
    assert (config.corpora[1].source_column, config.corpora[1].target_column) == (3, 1)
    assert config.corpora[2].source_column == "text"
    assert config.corpora[4].builtin.size == 10
    assert config.cleaning == CleaningConfig(max_chars=500, max_length_ratio=inf)
    values = converter.unstructure(config)
    again = converter.structure(values, ParallelTextConfig)
    assert converter.unstructure(again) == values


@pytest.mark.parametrize(
    ("path", "format_"),
    [
        ("a.tsv", "tsv"),
        ("a.b.TSV.GZ", "tsv"),
        ("a.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.txt", None),
        ("a.gz", None),
    ],
)
def test_format_by_suffix(path: str, format_: CorpusFormat | None) -> None:
    config = CorpusConfig(split="s", direction="en-de", path=Path(path))

    assert corpus_format(config) == format_


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "`format` must be text, tsv, jsonl, parquet or builtin"),
        ({"path": Path("a.txt")}, "`format` must be"),
        ({"split": "", "path": Path("a.tsv")}, "`split` must not be empty"),
        ({"direction": "de", "path": Path("a.tsv")}, "`direction` is wrong: 'de' is not"),
        ({"weight": 0.0, "path": Path("a.tsv")}, "`weight` must be positive"),
        ({"weight": nan, "path": Path("a.tsv")}, "`weight` must be positive"),
        ({"format": "tsv"}, "`path` must be given, since the format is tsv"),
        ({"format": "builtin"}, "`builtin` must be given"),
        ({"format": "text", "source": Path("a")}, "`target` must be given"),
        ({"path": Path("a.tsv"), "source": Path("a")}, "`source` must not be given"),
        ({"path": Path("a.parquet.gz")}, "`path` must be an uncompressed Parquet file"),
        ({"path": Path("a.tsv"), "source_column": -1}, "`source_column` must be a name or"),
        ({"path": Path("a.tsv"), "source_column": 1}, "columns must differ"),
        ({"path": Path("a.tsv"), "source_column": "en"}, "must be all names or all indices"),
        ({"path": Path("a.jsonl"), "label_column": 2}, "`label_column` must be a name"),
        (
            {"source": Path("a"), "target": Path("b"), "label_column": 2},
            "`label_column` must not be given, since the format is text",
        ),
        ({"path": Path("a.jsonl"), "num_columns": 2}, "`num_columns` must not be given"),
        ({"path": Path("a.tsv"), "num_columns": 1}, "`num_columns` must be at least 2"),
    ],
)
def test_what_is_wrong_with_a_corpus(values: dict[str, Any], message: str) -> None:
    corpus = CorpusConfig(**{"split": "train", "direction": "en-de", **values})

    with pytest.raises(CorpusError) as caught:
        open_parallel_text(ParallelTextConfig(corpora=[corpus]))
    assert message in str(caught.value)
    assert "`corpora[0]`" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_chars": 0}, "`min_chars`"),
        ({"max_chars": 0}, "`max_chars`"),
        ({"max_length_ratio": 0.5}, "`max_length_ratio`"),
        ({"max_length_ratio": nan}, "`max_length_ratio`"),
        ({"length_slack": -1}, "`length_slack`"),
        ({"max_reject_share": 1.1}, "`max_reject_share`"),
        ({"max_reject_share": nan}, "`max_reject_share`"),
    ],
)
def test_what_is_wrong_with_cleaning(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StandardObjectValidator().validate(CleaningConfig(**values))


def test_a_data_set_needs_a_corpus() -> None:
    with pytest.raises(CorpusError, match="`corpora` must list at least one"):
        open_parallel_text(ParallelTextConfig())


def test_the_error_is_imported_without_arrow_torch_and_fairseq2() -> None:
    program = (
        "import sys, fairseq2_jest.corpus.errors;"
        "print(*sorted({'pyarrow', 'torch', 'numpy', 'fairseq2'} & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout

    assert output.strip() == ""
