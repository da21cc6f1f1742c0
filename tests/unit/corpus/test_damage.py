"""Every kind of damaged line, in every format: reported by file, line and reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairseq2_jest.corpus.config import CleaningConfig
from fairseq2_jest.corpus.prepare import PreparedCorpus
from fairseq2_jest.corpus.table import CorpusTable

Write = Callable[[str, bytes], Path]
Prepare = Callable[..., PreparedCorpus]
ReadRejects = Callable[[PreparedCorpus], list[tuple[str, int, str]]]

GOOD = (b"A small house.", b"Ein kleines Haus.")
LONG = b"word " * 450
HUGE = b"x" * (3 << 20)

# The damaged side of an aligned pair, and what is said of it.
TEXT_DAMAGE = [
    (b"", "empty {}"),
    (b" \t ", "empty {}"),
    (b"\xe2\x80\xa8\xc2\x85", "empty {}"),
    (b"\xff\xfe bad", "not UTF-8"),
    (b"caf\xe9 au lait", "not UTF-8"),
    (b"cut off \xe2\x82", "not UTF-8"),
    (b"surrogate \xed\xa0\x80", "not UTF-8"),
    (b"a nul \x00 here", "NUL character"),
    (LONG, "{} too long"),
    (HUGE, "line too long"),
    (b"x" * 200, "length ratio"),
]


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize(("damaged", "reason"), TEXT_DAMAGE)
def test_damaged_line_of_aligned_text(
    damaged: bytes,
    reason: str,
    side: str,
    write: Write,
    prepare: Prepare,
    read_rejects: ReadRejects,
) -> None:
    lines = {"source": [GOOD[0]] * 3, "target": [GOOD[1]] * 3}
    lines[side][1] = damaged
    files = {k: write(f"{k}.txt", b"\n".join(v) + b"\n") for k, v in lines.items()}
    prepared = prepare(**files)

    # A pair whose lengths do not fit is named by its source.
    at = "source" if reason == "length ratio" else side
    check(prepared, read_rejects, f"{at}.txt", reason.format(side))


TSV_DAMAGE = [
    (b"only one column", "wrong number of columns"),
    (b"a\tb\tc", "wrong number of columns"),
    (b'A "quoted\ttab" stays\tEin Haus', "wrong number of columns"),
    (b"", "empty line"),
    (b"   ", "empty line"),
    (b"\tEin Haus", "empty source"),
    (b"A house\t", "empty target"),
    (b"A house\t \xc2\xa0 ", "empty target"),
    (b"\t", "empty line"),
    (b"A house\tEin H\xe4us", "not UTF-8"),
    (b"A house\tEin\x00Haus", "NUL character"),
    (LONG + b"\tx", "source too long"),
    (b"x\t" + LONG, "target too long"),
    (b"x\t" + HUGE, "line too long"),
    (b"No\t" + b"n" * 100, "length ratio"),
]


@pytest.mark.parametrize(("damaged", "reason"), TSV_DAMAGE)
@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_damaged_line_of_tsv(
    damaged: bytes,
    reason: str,
    suffix: str,
    write: Write,
    prepare: Prepare,
    read_rejects: ReadRejects,
) -> None:
    good = b"\t".join(GOOD)
    path = write(f"a.tsv{suffix}", b"\n".join([good, damaged, good, b""]))

    check(prepare(path=path), read_rejects, path.name, reason)


def test_header_decides_the_number_of_columns(
    write: Write, prepare: Prepare, read_rejects: ReadRejects
) -> None:
    path = write("a.tsv", b"id\ten\tde\n1\tYes\tJa\nNo\tNein\n3\tOh\tAch\n")
    prepared = prepare(path=path, source_column="en", target_column="de")

    assert texts(prepared) == (["Yes", "Oh"], ["Ja", "Ach"])
    assert read_rejects(prepared) == [("a.tsv", 3, "wrong number of columns")]


JSONL_DAMAGE = [
    (b"{", "not JSON"),
    (b"{'src': 'a', 'tgt': 'b'}", "not JSON"),
    (b'{"src": "a", "tgt": "b"} extra', "not JSON"),
    (b"[" * 100_000, "not JSON"),
    (b"1" * 10_000, "not JSON"),
    (b'["a", "b"]', "not a JSON object"),
    (b"null", "not a JSON object"),
    (b'{"translation": "a b"}', "not a JSON object"),
    (b'{"translation": ["a", "b"]}', "not a JSON object"),
    (b"{}", "missing key"),
    (b'{"src": "a"}', "missing key"),
    (b'{"translation": {"en": "a"}}', "missing key"),
    (b'{"translation": {"en": "a", "fr": "b"}}', "missing key"),
    (b'{"src": "a", "tgt": null}', "null"),
    (b'{"src": 3, "tgt": "b"}', "not a string"),
    (b'{"src": ["a"], "tgt": "b"}', "not a string"),
    (b'{"translation": {"en": "a", "de": {"text": "b"}}}', "not a string"),
    (b'{"src": "", "tgt": "b"}', "empty source"),
    (b'{"src": "a", "tgt": " \\n\\u2029 "}', "empty target"),
    (b'{"src": "a\\u0000", "tgt": "b"}', "NUL character"),
    (b'{"src": "a", "tgt": "half \\ud83d"}', "not UTF-8"),
    (b'{"src": "\xff", "tgt": "b"}', "not UTF-8"),
    (b'{"src": "a", "tgt": "' + LONG + b'"}', "target too long"),
    (b'{"src": "a", "tgt": "' + HUGE + b'"}', "line too long"),
    (b'{"src": "a", "tgt": "' + b"b" * 50 + b'"}', "length ratio"),
    (b"", "empty line"),
    (b'{"src": "a", "tgt": "b", "kind": 1}', "not a string"),
    (b'{"src": "a", "tgt": "b", "kind": "\\u0000"}', "NUL character"),
]


@pytest.mark.parametrize(("damaged", "reason"), JSONL_DAMAGE)
def test_damaged_line_of_jsonl(
    damaged: bytes, reason: str, write: Write, prepare: Prepare, read_rejects: ReadRejects
) -> None:
    good = json.dumps({"src": GOOD[0].decode(), "tgt": GOOD[1].decode()}).encode()
    path = write("a.jsonl", b"\n".join([good, damaged, good, b""]))

    check(prepare(path=path, label_column="kind"), read_rejects, "a.jsonl", reason)


PARQUET_DAMAGE: list[tuple[tuple[bytes | None, bytes | None], str]] = [
    ((None, b"b"), "null"),
    ((b"a", None), "null"),
    ((None, None), "null"),
    ((b"", b"b"), "empty source"),
    ((b"a", b"\n"), "empty target"),
    ((b"\xff", b"b"), "not UTF-8"),
    ((b"a", b"\xc3"), "not UTF-8"),
    ((b"a", b"\x00b"), "NUL character"),
    ((LONG, b"b"), "source too long"),
    ((b"a", b"b" * 50), "length ratio"),
]


@pytest.mark.parametrize("shape", ["columns", "translation", "dictionary"])
@pytest.mark.parametrize(("damaged", "reason"), PARQUET_DAMAGE)
def test_damaged_row_of_parquet(
    damaged: tuple[bytes | None, bytes | None],
    reason: str,
    shape: str,
    tmp_path: Path,
    prepare: Prepare,
    read_rejects: ReadRejects,
) -> None:
    columns = [
        # A view of bytes as strings: Arrow does not check them, and neither do other writers.
        pa.array(side, pa.binary()).view(pa.string())
        for side in zip(GOOD, damaged, GOOD, strict=True)
    ]
    if shape == "dictionary":
        columns = [c.dictionary_encode() for c in columns]
    table = pa.table(dict(zip(("src", "tgt"), columns, strict=True)))
    if shape == "translation":
        table = pa.table({"translation": pa.StructArray.from_arrays(columns, ["en", "de"])})
    pq.write_table(table, tmp_path / "a.parquet")

    check(prepare(path=tmp_path / "a.parquet"), read_rejects, "a.parquet", reason)


def test_null_struct_of_parquet(
    tmp_path: Path, prepare: Prepare, read_rejects: ReadRejects
) -> None:
    rows = [{"en": "a house", "de": "ein Haus"}, None, {"en": "a tree", "de": "ein Baum"}]
    pq.write_table(pa.table({"translation": pa.array(rows)}), tmp_path / "a.parquet")

    check(prepare(path=tmp_path / "a.parquet"), read_rejects, "a.parquet", "null")


@pytest.mark.parametrize(
    ("cleaning", "pair", "reason"),
    [
        (CleaningConfig(max_reject_share=1, min_chars=4), b"No!\tNein", "source too short"),
        (CleaningConfig(max_reject_share=1, min_chars=4), b"Good\tGut", "target too short"),
        (CleaningConfig(max_reject_share=1, max_chars=20), b"a" * 21 + b"\tb", "source too long"),
        (CleaningConfig(max_reject_share=1, reject_copies=True), b"Berlin\tBERLIN", "copy"),
    ],
)
def test_cleaning_rules(
    cleaning: CleaningConfig,
    pair: bytes,
    reason: str,
    write: Write,
    prepare: Prepare,
    read_rejects: ReadRejects,
) -> None:
    good = b"\t".join(GOOD)
    path = write("a.tsv", b"\n".join([good, pair, good, b""]))

    check(prepare(cleaning, path=path), read_rejects, "a.tsv", reason)


def test_length_ratio_forgives_short_texts_only(write: Write, prepare: Prepare) -> None:
    rows = [("a" * 10, "b" * n) for n in (60, 61)]
    path = write("a.tsv", "".join(f"{s}\t{t}\n" for s, t in rows).encode())

    assert prepare(path=path).manifest.rejected == {"length ratio": 1}


def check(prepared: PreparedCorpus, read_rejects: ReadRejects, name: str, reason: str) -> None:
    """Exactly line 2 of 3 is rejected, for ``reason``, and the others are whole."""
    manifest = prepared.manifest
    assert read_rejects(prepared) == [(name, 2, reason)]
    assert manifest.rejected == {reason: 1}
    assert manifest.num_kept + manifest.num_rejected == manifest.num_read == 3
    table = CorpusTable(prepared.table)
    assert len(table) == manifest.num_kept
    assert table.lines(np.array([0, 1])).tolist() == [1, 3]


def texts(prepared: PreparedCorpus) -> tuple[list[str], list[str]]:
    table = CorpusTable(prepared.table)
    return table.texts(np.arange(len(table)))
