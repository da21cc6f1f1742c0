from __future__ import annotations

from pathlib import Path

import pytest

from fairseq2_jest.translation.config import (
    InputConfig,
    OutputConfig,
    TranslationConfig,
    input_format,
    output_format,
)


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        (None, "text"),
        ("a", "text"),
        ("a.en", "text"),
        ("a.txt.gz", "text"),
        ("a.TSV", "tsv"),
        ("a.tsv.zst", "tsv"),
        ("a.jsonl", "jsonl"),
        ("a.b.ndjson.gz", "jsonl"),
    ],
)
def test_the_suffix_says_the_format(name: str | None, format_: str) -> None:
    path = None if name is None else Path(name)

    assert input_format(InputConfig(path=path)) == format_
    assert input_format(InputConfig(path=path, format="jsonl")) == "jsonl"

    # Without a name of its own the output is as the input.
    assert output_format(OutputConfig(path=path), "tsv") == ("tsv" if name is None else format_)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (InputConfig(column="x"), "`column` must not be given, since the format is text."),
        (InputConfig(format="jsonl", column=1), "`column` must be a name"),
        (InputConfig(format="tsv", column=-1), "`column` must be a name or an index from 0"),
        (InputConfig(format="tsv", column=""), "`column` must be a name or an index from 0."),
        (InputConfig(format="tsv", column=True), "`column` must be a name or an index from 0."),
        (OutputConfig(num_hypotheses=0), "`num_hypotheses` must be at least 1, but is 0."),
        (OutputConfig(column="a\tb"), "`column` must be a name without tabs"),
        (OutputConfig(column=""), "`column` must be a name without tabs"),
        (OutputConfig(column="score", scores=True), "`column` must not be 'score'"),
        (OutputConfig(column="hypotheses", num_hypotheses=2), "`column` must not be 'hypotheses'"),
        (TranslationConfig(max_source_len=7), "`max_source_len` must be at least 8, but is 7."),
        (TranslationConfig(max_num_tokens=255), "at least `max_source_len` (256), but is 255."),
        (TranslationConfig(max_batch_size=0), "`max_batch_size` must be at least 1, but is 0."),
        (TranslationConfig(block_size=0), "`block_size` must be at least 1, but is 0."),
        (TranslationConfig(log_every_seconds=0.0), "`log_every_seconds` must be positive"),
    ],
)
def test_a_wrong_value_is_told(
    config: InputConfig | OutputConfig | TranslationConfig, message: str
) -> None:
    assert message in str(config.validate())


@pytest.mark.parametrize(
    "config",
    [
        InputConfig(),
        InputConfig(format="tsv", column=0),
        InputConfig(path=Path("a.tsv.gz"), column="en"),
        InputConfig(path=Path("a.jsonl"), column="en"),
        OutputConfig(),
        OutputConfig(column="score"),
        OutputConfig(column="hypotheses", scores=True),
        TranslationConfig(),
    ],
)
def test_a_right_value_is_taken(
    config: InputConfig | OutputConfig | TranslationConfig,
) -> None:
    assert not config.validate().has_error()
