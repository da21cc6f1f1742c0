from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.translation.config import InputConfig
from fairseq2_jest.translation.errors import TranslationError
from fairseq2_jest.translation.source import SourceFile, open_source

ROWS: list[dict[str, str | int]] = [
    {"src": "Ein Hund."},
    {"src": ""},
    {"src": "Zwei „Katzen“.", "n": 1},
]


def source(path: Path, **config: Any) -> SourceFile:
    return open_source(InputConfig(path=path, **config), path, "deu_Latn")


def compressed(content: bytes, suffix: str) -> bytes:
    if suffix == ".gz":
        return gzip.compress(content)

    return zstandard.ZstdCompressor().compress(content) if suffix == ".zst" else content


def texts(path: Path, **config: Any) -> list[str]:
    return [line.text for line in source(path, **config).read()]


@pytest.mark.parametrize(
    ("name", "content", "config"),
    [
        ("a.txt", "Ein Hund.\n\nZwei „Katzen“.\n", {}),
        ("a", "\ufeffEin Hund.\r\n  \r\nZwei „Katzen“.", {}),
        ("a.tsv", "Ein Hund.\tx\n\nZwei „Katzen“.\ty\n", {}),
        ("a.tsv", "x\tEin Hund.\nx\t\nx\tZwei „Katzen“.\n", {"column": 1}),
        ("a.tsv", "id\tde\n1\tEin Hund.\n2\t\n3\tZwei „Katzen“.\n", {"column": "de"}),
        ("a.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS), {}),
        ("a.jsonl", "".join(json.dumps({"translation": row}) + "\n" for row in ROWS), {}),
        ("a.jsonl", "".join(json.dumps({"de": row["src"]}) + "\n" for row in ROWS), {}),
        ("a.ndjson", '{"x": "Ein Hund."}\n\n{"x": "Zwei „Katzen“."}', {"column": "x"}),
        ("a.dat", '{"src": "Ein Hund."}\n\n{"src": "Zwei „Katzen“."}', {"format": "jsonl"}),
    ],
)
@pytest.mark.parametrize("compression", ["", ".gz", ".zst"])
def test_all_formats_give_the_same_lines(
    name: str, content: str, config: dict[str, object], compression: str, tmp_path: Path
) -> None:
    path = tmp_path / f"{name}{compression}"

    path.write_bytes(compressed(content.encode(), compression))

    if compression and name == "a":
        config = {**config, "format": "text"}

    assert texts(path, **config) == ["Ein Hund.", "", "Zwei „Katzen“."]
    assert source(path, **config).survey().num_lines == 3


def test_separators_within_a_text_become_spaces(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"src": " a\nb\tc\u2028d "}) + "\n")

    assert texts(path) == ["a b c d"]


@settings(max_examples=50, deadline=None)
@given(
    lines=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"))),
    size=st.integers(1, 5),
)
def test_no_line_is_lost_or_added(
    lines: list[str], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lines") / "a.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")

    blocks = list(source(path).blocks(size))

    assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
    assert sum(map(len, blocks)) == len(lines) == source(path).survey().num_lines

    for line, read in zip(lines, (line for block in blocks for line in block), strict=True):
        assert (read.text == "") == (line.strip().lstrip("\ufeff").strip() == "")


@pytest.mark.parametrize(
    ("name", "content", "config", "message"),
    [
        ("a.txt", b"ok\n\xff\xfe\n", {}, ":2 is not UTF-8 (byte 1 of the line)"),
        ("a.txt", b"ok\nt\xc3", {}, ":2 is not UTF-8 (byte 2 of the line)"),
        ("a.txt", b"a\0b\n", {}, ":1 cannot be translated (NUL character)"),
        ("a.txt", b"a\n" + (2 << 20) * b"a", {}, ":2 is longer than 1,048,576 bytes"),
        ("a.tsv", b"a\tb\nc\n", {"column": 1}, ":2 has 1 column(s), and none with the index 1"),
        ("a.tsv", b"a\tb\nc\n", {"column": "a"}, ":2 has 1 column(s), but the header has 2"),
        ("a.tsv", b"a\tb\n", {"column": "c"}, ":1 has no column 'c'"),
        ("a.jsonl", b'{"src": "a"}\n{"src"\n', {}, ":2 is not JSON"),
        ("a.jsonl", b"[1]\n", {}, ":1 is not a JSON object"),
        ("a.jsonl", b'{"src": null}\n', {}, ":1 has no text under 'src'"),
        ("a.jsonl", b'{"translation": {"en": "a"}}\n', {}, ":1 has none of the keys 'src', "),
        ("a.jsonl", b'{"src": "\\ud800"}\n', {}, ":1 cannot be translated (not UTF-8)"),
        ("a.jsonl", b"[" * 100_000, {}, ":1 is not JSON"),
    ],
)
def test_a_damaged_line_is_told_with_its_place(
    name: str, content: bytes, config: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(TranslationError) as ex:
        source(path, **config).survey()

    assert str(ex.value).startswith(f"{path}{message}")


def test_a_missing_or_cut_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no\.txt does not exist"):
        source(tmp_path / "no.txt").survey()

    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"line\n" * 10_000)[:-20])

    with pytest.raises(CorpusError, match=r"a\.txt\.gz is damaged"):
        source(path).survey()


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(TranslationError, match="pipe it into standard input"):
        source(tmp_path / "pipe")


def test_a_change_while_it_is_read_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a\n")

    file = source(path)

    survey = file.survey()

    file.check_unchanged(survey)

    path.write_text("a\nb\n")

    with pytest.raises(TranslationError, match="was changed while it was translated"):
        file.check_unchanged(survey)


def test_the_survey_tells_contents_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"

    path.write_text("a\n")
    first = source(path).survey()

    path.write_text("b\n")

    assert source(path).survey().sha256 != first.sha256
