from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairseq2_jest.translation.errors import TranslationError
from fairseq2_jest.translation.rendering import write_output
from fairseq2_jest.translation.result import Hypothesis, Translation
from fairseq2_jest.translation.shards import Shards


def translation(text: str) -> Translation:
    return Translation(hypotheses=(Hypothesis(text=text, score=-0.125),), num_parts=2)


def filled(folder: Path, texts: list[str], block_size: int) -> Shards:
    shards = Shards(folder, num_lines=len(texts), block_size=block_size)

    shards.clean()

    # In any order.
    for block in reversed(range(shards.num_blocks)):
        lines = texts[block * block_size : (block + 1) * block_size]

        shards.write(block, [translation(text) for text in lines])

    return shards


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]))), size=st.integers(1, 5))
def test_all_lines_come_back_in_order(
    texts: list[str], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shards = filled(tmp_path_factory.mktemp("shards") / "s", texts, size)

    assert shards.missing() == []
    assert sum(shards.size_of(block) for block in range(shards.num_blocks)) == len(texts)
    assert list(shards.read()) == [translation(text) for text in texts]


def test_what_was_not_written_is_missing(tmp_path: Path) -> None:
    shards = Shards(tmp_path / "s", num_lines=7, block_size=2)

    assert (shards.missing(), shards.present()) == ([0, 1, 2, 3], set())

    shards.clean()
    shards.write(2, [Translation(), Translation(num_tokens=300)])
    shards.write(3, [translation("x")])

    assert (shards.missing(), shards.present()) == ([0, 1], {2, 3})

    with pytest.raises(TranslationError, match=r"00000000\.jsonl is missing or damaged"):
        list(shards.read())


@pytest.mark.parametrize("cut", [1, 2, 20, 10_000])
def test_a_damaged_block_is_missing(cut: int, tmp_path: Path) -> None:
    shards = filled(tmp_path / "s", ["a", "b", "c", "d"], 2)

    file = tmp_path / "s" / "00000001.jsonl"
    file.write_bytes(file.read_bytes()[:-cut])

    assert shards.missing() == [1]

    with pytest.raises(TranslationError, match=r"00000001\.jsonl is missing or damaged"):
        list(shards.read())

    shards.clean([1])

    assert shards.present() == {0}


@pytest.mark.parametrize(
    "line", ["", "[]", "{}", '{"hypotheses": [{"txt": "a"}]}', '{"hypotheses": 1}', "\xff"]
)
def test_a_line_that_is_no_translation_is_damage(line: str, tmp_path: Path) -> None:
    shards = filled(tmp_path / "s", ["a"], 1)

    (tmp_path / "s" / "00000000.jsonl").write_bytes(line.encode("latin-1") + b"\n")

    assert shards.missing() == [0]


def test_what_a_kill_left_is_removed_and_never_counted(tmp_path: Path) -> None:
    shards = Shards(tmp_path, num_lines=2, block_size=1)

    (tmp_path / ".00000000.123.tmp").write_text("{}")
    (tmp_path / "notes.jsonl").write_text("{}")

    assert shards.missing() == [0, 1]

    shards.clean()

    assert [file.name for file in tmp_path.iterdir()] == ["notes.jsonl"]


def test_processes_of_the_same_number_may_write_the_same_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on two machines with one file system: one writes while the other is about to be done."""
    shards = Shards(tmp_path, num_lines=1, block_size=1)

    fsync = os.fsync

    def let_the_other_write(fd: int) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)

            shards.write(0, [translation("other")])

        fsync(fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", let_the_other_write)

        shards.write(0, [translation("one")])

    assert list(shards.read()) == [translation("one")]
    assert [file.name for file in tmp_path.iterdir()] == ["00000000.jsonl"]


def test_a_block_that_cannot_be_read_is_told_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards = filled(tmp_path / "s", ["a"], 1)

    def fail(*args: object, **kwargs: object) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Path, "read_text", fail)

    with pytest.raises(TranslationError, match=r"00000000\.jsonl cannot be read \(Input/output er"):
        write_output(tmp_path / "out.txt", (t.text for t in shards.read()))

    # Made again.
    assert shards.missing() == [0]


def test_a_full_disk_is_told_and_leaves_no_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shards = Shards(tmp_path, num_lines=1, block_size=1)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)

        with pytest.raises(TranslationError, match=r"00000000\.jsonl cannot be written \(No space"):
            shards.write(0, [translation("a")])

    assert shards.missing() == [0]
    assert list(tmp_path.iterdir()) == []


def test_a_block_of_another_size_is_a_mistake(tmp_path: Path) -> None:
    shards = Shards(tmp_path, num_lines=3, block_size=2)

    with pytest.raises(ValueError, match="Block 1 has 1 lines"):
        shards.write(1, [Translation(), Translation()])
