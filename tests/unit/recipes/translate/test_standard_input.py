from __future__ import annotations

import io
from pathlib import Path

import pytest
from fairseq2.device import CPU
from fairseq2.gang import FakeGang, Gang

from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.recipes.translate.standard_input import (
    STANDARD_INPUT_NAME,
    save_standard_input,
)
from fairseq2_jest.translation.errors import TranslationError

FIRST = FakeGang(CPU)


class Terminal(io.TextIOWrapper):
    """Says that somebody sits there."""

    def isatty(self) -> bool:
        return True


def stream(content: bytes, kls: type[io.TextIOWrapper] = io.TextIOWrapper) -> io.TextIOWrapper:
    return kls(io.BytesIO(content), encoding="utf-8")


def saved(folder: Path, gang: Gang = FIRST) -> Path:
    """Where it is in the end."""
    with save_standard_input(folder, gang) as file:
        content = file.read_bytes()

    file = folder / STANDARD_INPUT_NAME

    assert file.read_bytes() == content
    assert list(folder.iterdir()) == [file]

    return file


def test_bytes_are_saved_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for content in (b"", b"a\r\n\xff\0", b"b"):
        monkeypatch.setattr("sys.stdin", stream(content))

        assert saved(tmp_path).read_bytes() == content


def test_other_ranks_leave_it_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = stream(b"a")

    monkeypatch.setattr("sys.stdin", waiting)

    with save_standard_input(tmp_path, FakeGang(CPU, rank=1, size=2)):
        pass

    assert waiting.read() == "a" and list(tmp_path.iterdir()) == []


def test_a_terminal_is_read_but_not_for_a_run_that_has_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", stream(b"typed\n", Terminal))

    assert saved(tmp_path).read_bytes() == b"typed\n"

    monkeypatch.setattr("sys.stdin", stream(b"", Terminal))

    assert saved(tmp_path).read_bytes() == b"typed\n"


def test_what_was_saved_outlives_an_empty_input_and_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", stream(b"piped\n"))

    file = saved(tmp_path)

    # As nohup and sbatch have it.
    monkeypatch.setattr("sys.stdin", stream(b""))

    assert saved(tmp_path).read_bytes() == b"piped\n"

    monkeypatch.setattr("sys.stdin", stream(b"other\n"))

    with pytest.raises(UsageError), save_standard_input(tmp_path, FIRST) as new:
        assert new.read_bytes() == b"other\n"

        raise UsageError("refused")

    assert file.read_bytes() == b"piped\n"
    assert list(tmp_path.iterdir()) == [file]


def test_no_standard_input_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", None)

    with (
        pytest.raises(TranslationError, match=r"name a file in input\.path"),
        save_standard_input(tmp_path, FIRST),
    ):
        pass
