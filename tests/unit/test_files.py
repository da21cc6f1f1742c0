from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fairseq2_jest.files import write_json, write_text


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.json"

    write_text(file, "one\n")
    write_text(file, "zwei, größer\n")

    assert file.read_text(encoding="utf-8") == "zwei, größer\n"
    assert [f.name for f in tmp_path.iterdir()] == ["a.json"]


def test_several_may_write_the_same_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "a.json"

    texts = [f"{number}\n" * 1000 for number in range(4)]

    with ThreadPoolExecutor(4) as executor:
        for _ in executor.map(write_text, [file] * 40, texts * 10):
            pass

    assert file.read_text(encoding="utf-8") in texts
    assert [f.name for f in tmp_path.iterdir()] == ["a.json"]


def test_json_is_lines_that_people_can_read(tmp_path: Path) -> None:
    file = tmp_path / "a.json"

    write_json(file, {"größer": [1.5, None]})

    text = file.read_text(encoding="utf-8")

    assert json.loads(text) == {"größer": [1.5, None]}
    assert text.startswith('{\n  "größer": [\n') and text.endswith("}\n")


def test_what_was_there_outlives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.json"

    write_text(file, "one\n")

    def fail(fd: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", fail)

    with pytest.raises(OSError, match="No space"):
        write_text(file, "two\n")

    assert file.read_text(encoding="utf-8") == "one\n"
    assert [f.name for f in tmp_path.iterdir()] == ["a.json"]
