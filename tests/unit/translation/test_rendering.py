from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from fairseq2_jest.translation.config import InputConfig, OutputConfig, TextFormat, input_format
from fairseq2_jest.translation.errors import TranslationError
from fairseq2_jest.translation.rendering import create_renderer, write_output
from fairseq2_jest.translation.result import Hypothesis, Translation
from fairseq2_jest.translation.source import SourceFile, open_source

TWO = Translation(
    hypotheses=(Hypothesis(text="Ein Hund.", score=-0.25), Hypothesis(text="Hund.", score=-1.5))
)


def rendered(
    path: Path,
    content: str,
    format_: TextFormat,
    source_column: str | int | None = None,
    **options: Any,
) -> list[str]:
    """The output for translations by :data:`TWO`, of blank lines by nothing."""
    path.write_text(content, encoding="utf-8")

    config = OutputConfig(**options)

    source = opened(path, source_column)

    renderer = create_renderer(config, format_, source)

    lines = [
        renderer.render(
            line,
            Translation(hypotheses=TWO.hypotheses[: config.num_hypotheses])
            if line.text
            else Translation(),
        )
        for line in source.read()
    ]

    header = renderer.header()

    return lines if header is None else [header, *lines]


def opened(path: Path, column: str | int | None = None) -> SourceFile:
    return open_source(InputConfig(path=path, column=column), path, "eng_Latn")


def test_text_is_the_translation(tmp_path: Path) -> None:
    assert rendered(tmp_path / "a.txt", "A dog.\n\nA dog.\n", "text") == [
        "Ein Hund.",
        "",
        "Ein Hund.",
    ]
    assert rendered(tmp_path / "a.tsv", "A dog.\tx\n\n", "text") == ["Ein Hund.", ""]


@pytest.mark.parametrize("options", [{"num_hypotheses": 2}, {"scores": True}])
def test_text_has_no_room_for_more(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TranslationError, match=r"set output\.format to tsv or jsonl"):
        rendered(tmp_path / "a.txt", "", "text", **options)


def test_tsv_keeps_the_columns(tmp_path: Path) -> None:
    tsv = tmp_path / "a.tsv"

    assert rendered(tsv, "1\tA dog.\n2\t\n\n", "tsv", 1) == ["1\tA dog.\tEin Hund.", "2\t\t", ""]
    assert rendered(tsv, "1\tA dog.\n2\t\n", "tsv", 1, num_hypotheses=2, scores=True) == [
        "1\tA dog.\tEin Hund.\t-0.25\tHund.\t-1.5",
        "2\t\t\t\t\t",
    ]


def test_tsv_has_a_header_where_the_input_has_one(tmp_path: Path) -> None:
    tsv, content = tmp_path / "a.tsv", "id\ten\n1\tA dog.\n"

    assert rendered(tsv, content, "tsv", "en", column="de")[0] == "id\ten\tde"
    assert rendered(tsv, content, "tsv", "en", num_hypotheses=2, scores=True) == [
        "id\ten\thypothesis_1\tscore_1\thypothesis_2\tscore_2",
        "1\tA dog.\tEin Hund.\t-0.25\tHund.\t-1.5",
    ]


@pytest.mark.parametrize(
    ("name", "options"), [("hypothesis", {}), ("score", {"scores": True}), ("x", {"column": "x"})]
)
def test_a_column_that_is_taken_is_refused(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    content = f"en\t{name}\nA dog.\ty\n"

    with pytest.raises(TranslationError, match=f":1 has the column '{name}' already"):
        rendered(tmp_path / "a.tsv", content, "tsv", "en", **options)


def test_tsv_of_text_is_a_corpus(tmp_path: Path) -> None:
    assert rendered(tmp_path / "a.txt", "A\tdog.\n\n", "tsv") == ["A dog.\tEin Hund.", ""]


def test_tsv_of_jsonl_is_a_corpus(tmp_path: Path) -> None:
    content = '{"id": 1, "src": "A\\tdog."}\n{"translation": {"en": "A cat."}}\n{"src": ""}\n'

    assert rendered(tmp_path / "a.jsonl", content, "tsv", scores=True) == [
        "A dog.\tEin Hund.\t-0.25",
        "A cat.\tEin Hund.\t-0.25",
        "",
    ]


def test_jsonl_keeps_the_object(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"

    content = '{"id": 1, "src": "A dog."}\n{"src": ""}\n\n'

    assert [json.loads(x or "0") for x in rendered(path, content, "jsonl")] == [
        {"id": 1, "src": "A dog.", "hypothesis": "Ein Hund."},
        {"src": "", "hypothesis": ""},
        0,
    ]

    assert [json.loads(x or "0") for x in rendered(path, content, "jsonl", scores=True)] == [
        {"id": 1, "src": "A dog.", "hypothesis": "Ein Hund.", "score": -0.25},
        {"src": "", "hypothesis": "", "score": None},
        0,
    ]

    lines = rendered(path, content, "jsonl", scores=True, num_hypotheses=2, column="de")

    assert [json.loads(x or "0") for x in lines] == [
        {
            "id": 1,
            "src": "A dog.",
            "de": "Ein Hund.",
            "hypotheses": [{"text": "Ein Hund.", "score": -0.25}, {"text": "Hund.", "score": -1.5}],
        },
        {"src": "", "de": "", "hypotheses": []},
        0,
    ]


def test_jsonl_of_text_is_a_corpus(tmp_path: Path) -> None:
    (line, blank) = rendered(tmp_path / "a.txt", "A dog.\n\n", "jsonl")

    assert json.loads(line) == {"source": "A dog.", "hypothesis": "Ein Hund."}
    assert blank == ""


@pytest.mark.parametrize(
    ("key", "options"),
    [("hypothesis", {}), ("score", {"scores": True}), ("hypotheses", {"num_hypotheses": 2})],
)
def test_a_key_that_is_taken_is_refused(key: str, options: dict[str, Any], tmp_path: Path) -> None:
    content = json.dumps({"src": "A dog.", key: "x"}) + "\n"

    with pytest.raises(TranslationError, match=rf":1 has the key '{key}' already"):
        rendered(tmp_path / "a.jsonl", content, "jsonl", **options)

    # Where it is not written it may be there.
    assert rendered(tmp_path / "a.jsonl", content, "text") == ["Ein Hund."]


@given(
    lines=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))),
    format_=st.sampled_from(["text", "tsv", "jsonl"]),
    source=st.sampled_from(["a.txt", "a.tsv", "a.jsonl"]),
    num_hypotheses=st.integers(1, 3),
    scores=st.booleans(),
)
def test_there_is_one_line_for_each(
    lines: list[str],
    format_: TextFormat,
    source: str,
    num_hypotheses: int,
    scores: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("one") / source

    if input_format(InputConfig(path=path)) == "jsonl":
        content = "".join(json.dumps({"src": line}) + "\n" for line in lines)
    else:
        lines = [line.replace("\n", "").replace("\r", "") for line in lines]

        content = "".join(line + "\n" for line in lines)

    options: dict[str, Any] = {"num_hypotheses": num_hypotheses, "scores": scores}

    if format_ == "text":
        options = {}

    output = rendered(path, content, format_, **options)

    write_output(path.with_name("out.txt"), output)

    written = path.with_name("out.txt").read_bytes().decode().split("\n")

    assert written.pop() == "" and len(written) == len(lines)


@pytest.mark.parametrize("name", ["out.txt", "out.txt.gz", "out.tsv.zst"])
def test_the_output_is_compressed_as_it_is_called(name: str, tmp_path: Path) -> None:
    path = tmp_path / name

    write_output(path, ["Zwei „Katzen“.", "", "x"])

    content = path.read_bytes()

    if name.endswith(".gz"):
        content = gzip.decompress(content)
    elif name.endswith(".zst"):
        content = zstandard.ZstdDecompressor().decompressobj().decompress(content)

    assert content.decode() == "Zwei „Katzen“.\n\nx\n"
    assert list(tmp_path.iterdir()) == [path]

    before = path.read_bytes()

    write_output(path, ["Zwei „Katzen“.", "", "x"])

    assert path.read_bytes() == before


def test_an_output_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "out.txt").mkdir()

    with pytest.raises(TranslationError, match=r"out\.txt cannot be written \(Is a directory\)"):
        write_output(tmp_path / "out.txt", ["x"])


def test_a_failed_output_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "out.txt.gz"
    path.write_text("old")

    def lines() -> Iterator[str]:
        yield "new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_output(path, lines())

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
