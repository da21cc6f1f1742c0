"""Every format gives the same pairs, whatever a line's end or a text's separators are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fairseq2_jest.corpus.config import CorpusConfig
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.prepare import PreparedCorpus
from fairseq2_jest.corpus.readers import open_reader
from fairseq2_jest.corpus.table import CorpusTable

Write = Callable[[str, bytes], Path]
Prepare = Callable[..., PreparedCorpus]

BOM = b"\xef\xbb\xbf"

# Each pair holds something that some reader takes for the end of a line or a quotation.
RAW = [
    ('"Quoted," he said.', 'Er sagte: "Zitat'),
    ("two\u2028lines", "zwei\u2029Zeilen"),
    ("next\x85line", "vertical\x0btab"),
    ("form\x0cfeed", "file\x1cgroup\x1drecord\x1eend"),
    ("  outer space\xa0", "\u3000Rand "),
]
CLEAN = [
    ('"Quoted," he said.', 'Er sagte: "Zitat'),
    ("two lines", "zwei Zeilen"),
    ("next line", "vertical tab"),
    ("form feed", "file group record end"),
    ("outer space", "Rand"),
]


def read(prepared: PreparedCorpus) -> list[tuple[str, str]]:
    table = CorpusTable(prepared.table)
    return list(zip(*table.texts(np.arange(len(table))), strict=True))


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("bom", [b"", BOM])
@pytest.mark.parametrize("last_end", [True, False])
@pytest.mark.parametrize("format_", ["text", "tsv", "jsonl", "translation"])
def test_line_formats_agree(
    format_: str,
    last_end: bool,
    bom: bytes,
    end: bytes,
    suffix: str,
    write: Write,
    prepare: Prepare,
) -> None:
    def file(name: str, lines: list[str]) -> Path:
        data = end.join(line.encode() for line in lines) + (end if last_end else b"")
        return write(name + suffix, bom + data)

    if format_ == "text":
        sides = [file(f"{i}.txt", [p[i] for p in RAW]) for i in (0, 1)]
        prepared = prepare(source=sides[0], target=sides[1])
    elif format_ == "tsv":
        prepared = prepare(path=file("a.tsv", ["\t".join(p) for p in RAW]))
    else:
        keys = ("en", "de") if format_ == "translation" else ("src", "tgt")
        rows: list[object] = [dict(zip(keys, p, strict=True)) for p in RAW]
        if format_ == "translation":
            rows = [{"translation": row} for row in rows]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        prepared = prepare(path=file("a.jsonl", lines))

    assert read(prepared) == CLEAN
    assert prepared.manifest.rejected == {}


@pytest.mark.parametrize("string", [pa.string(), pa.large_string(), pa.string_view(), pa.binary()])
def test_parquet_agrees(string: pa.DataType, tmp_path: Path, prepare: Prepare) -> None:
    sources, targets = ([t.encode() for t in side] for side in zip(*RAW, strict=True))
    sources[0] = BOM + sources[0]
    columns = {
        name: pa.array(side, pa.binary()).cast(string)
        for name, side in (("source", sources), ("other", sources), ("target", targets))
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet", row_group_size=2)

    assert read(prepare(path=tmp_path / "a.parquet")) == CLEAN


def test_texts_inside_json_may_hold_any_separator(write: Write, prepare: Prepare) -> None:
    row = {"src": "one\ntwo\r\nthree\tfour", "tgt": "eins\nzwei"}
    path = write("a.jsonl", json.dumps(row).encode())

    assert read(prepare(path=path)) == [("one two  three four", "eins zwei")]


@pytest.mark.parametrize("keys", [("eng_Latn", "deu_Latn"), ("eng", "deu"), ("en", "ger")])
def test_translation_keys_follow_the_direction(
    keys: tuple[str, str], write: Write, prepare: Prepare
) -> None:
    row = {"translation": {keys[1]: "ja", "fr": "oui", keys[0]: "yes"}}
    path = write("a.jsonl", json.dumps(row).encode())

    assert read(prepare(path=path)) == [("yes", "ja")]
    reverse = prepare(path=path, direction="deu_Latn-eng_Latn")
    assert read(reverse) == [("ja", "yes")]


def test_two_scripts_of_one_language_need_their_full_codes(write: Write, prepare: Prepare) -> None:
    rows = [{"translation": {"zh": "x", "zho_Hant": "y", "zho_Hans": "z"}}]
    path = write("a.jsonl", json.dumps(rows[0]).encode())

    assert read(prepare(path=path, direction="zho_Hans-zho_Hant")) == [("z", "y")]


def test_named_keys_and_labels(write: Write, prepare: Prepare) -> None:
    rows = [
        {"translation": {"a": "yes", "b": "ja"}, "kind": "clean"},
        {"translation": {"a": "no", "b": "no"}, "kind": "copied"},
        {"translation": {"a": "oh", "b": "ach"}, "kind": None},
        {"a": "hm", "b": "hm"},
    ]
    path = write("a.jsonl", "\n".join(map(json.dumps, rows)).encode())
    prepared = prepare(path=path, source_column="a", target_column="b", label_column="kind")

    labels = CorpusTable(prepared.table).labels(np.array([1, 0, 3, 2]))
    assert labels == ["copied", "clean", None, None]
    assert prepared.manifest.labels == {"clean": 1, "copied": 1}


@pytest.mark.parametrize("columns", [(3, 1, 0), ("de", "en", "kind")])
def test_tsv_columns(columns: tuple[int | str, ...], write: Write, prepare: Prepare) -> None:
    head = b"kind\ten\tid\tde\n" if isinstance(columns[0], str) else b""
    path = write("a.tsv", BOM + head + b"clean\tyes\t1\tja\nnoise\tno\t2\toui\n")
    source, target, label = columns
    prepared = prepare(path=path, source_column=source, target_column=target, label_column=label)

    assert read(prepared) == [("ja", "yes"), ("oui", "no")]
    assert CorpusTable(prepared.table).labels(np.array([0, 1])) == ["clean", "noise"]


def test_labels_that_first_appear_in_a_later_batch(write: Write, prepare: Prepare) -> None:
    kinds = ["noise" if i % 3 == 0 else "odd" if i > 40_000 else "" for i in range(70_000)]
    path = write("a.tsv", "".join(f"a {i}\tb {i}\t{k}\n" for i, k in enumerate(kinds)).encode())
    prepared = prepare(path=path, label_column=2)

    rows = np.random.default_rng(0).integers(0, 70_000, 2000)
    table = CorpusTable(prepared.table)
    assert table.labels(rows) == [kinds[i] or None for i in rows]
    assert table.texts(rows)[1] == [f"b {i}" for i in rows]


def test_a_text_column_is_no_label_column(write: Write, prepare: Prepare) -> None:
    path = write("a.tsv", "".join(f"a\tb\tc {i}\n" for i in range(1100)).encode())

    with pytest.raises(CorpusError, match=r"more than 1000 different labels.*`label_column`"):
        prepare(path=path, label_column=2)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("damage", ["cut", "empty", "plain", "garbage after"])
@pytest.mark.parametrize("side", ["source", "target"])
def test_damaged_stream_is_an_error(
    side: str, damage: str, suffix: str, tmp_path: Path, write: Write, prepare: Prepare
) -> None:
    text = "".join(f"line {i * 7919 % 10_007}\n" for i in range(20_000)).encode()
    files = {k: write(f"{k}.txt{suffix}", text) for k in ("source", "target")}
    whole = files[side].read_bytes()
    files[side].write_bytes(
        {"cut": whole[:-9], "empty": b"", "plain": text, "garbage after": whole + b"??????????"}[
            damage
        ]
    )

    with pytest.raises(CorpusError, match=rf"{side}\.txt{suffix} is damaged or not in the format"):
        prepare(**files)
    assert not list((tmp_path / "cache").rglob("pairs.arrow"))


def test_concatenated_members_are_one_file(write: Write, prepare: Prepare) -> None:
    for suffix in (".gz", ".zst"):
        first, second = (write(f"{i}.tsv{suffix}", b"a%d\tb%d\n" % (i, i)) for i in (1, 2))
        both = first.with_name(f"both.tsv{suffix}")
        both.write_bytes(first.read_bytes() + second.read_bytes())

        assert read(prepare(path=both)) == [("a1", "b1"), ("a2", "b2")]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"path": "none.tsv"}, r"none\.tsv does not exist; mend the path"),
        ({"source": "none.en", "target": "none.de"}, r"none\.en does not exist"),
        ({"path": "none.parquet"}, r"none\.parquet does not exist"),
        ({"path": ".", "format": "jsonl"}, r"is a folder"),
        ({"path": "text.parquet"}, r"text\.parquet is damaged or not in the format"),
        ({"path": "empty.tsv"}, r"empty\.tsv is empty"),
        ({"path": "some.tsv", "source_column": "en", "target_column": "de"}, "no column 'en'"),
        ({"path": "some.parquet"}, r"no column 'src' or 'source' or.*'en'.*\('a', 'n'\)"),
        ({"path": "some.parquet", "source_column": "a", "target_column": "n"}, "'n' .* int64"),
        ({"path": "some.tsv", "target_column": 5, "num_columns": 2}, "mend `num_columns`"),
        ({"path": "some.tsv", "format": "parquet"}, r"some\.tsv is damaged or not in the format"),
    ],
)
def test_a_file_that_cannot_be_used(
    values: dict[str, object],
    message: str,
    tmp_path: Path,
    write: Write,
    prepare: Prepare,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    write("empty.tsv", b"")
    write("some.tsv", b"a\tb\n")
    write("text.parquet", b"a\tb\n")
    pq.write_table(pa.table({"a": ["x"], "n": [1]}), tmp_path / "some.parquet")
    for name in ("path", "source", "target"):
        if name in values:
            values = {**values, name: Path(str(values[name]))}

    with pytest.raises(CorpusError, match=message) as caught:
        prepare(**values)
    assert "\n" not in str(caught.value)


def test_an_invalid_config_is_named_by_its_split() -> None:
    config = CorpusConfig(split="dev", direction="en>de", path=Path("a.tsv"))

    with pytest.raises(CorpusError, match=r"split 'dev'.*'en>de' is not a direction"):
        open_reader(config)
