from __future__ import annotations

from pathlib import Path

import pytest

from fairseq2_jest.translation.errors import TranslationError
from fairseq2_jest.translation.manifest import MANIFEST_NAME, check_manifest, write_manifest

IDENTITY = {"direction": "a-b", "model": {"name": "m", "files": {"a.pt": "0" * 64}}, "empty": {}}


def test_a_new_folder_holds_nothing(tmp_path: Path) -> None:
    assert not check_manifest(tmp_path, IDENTITY)

    write_manifest(tmp_path, IDENTITY)

    assert check_manifest(tmp_path, IDENTITY)
    assert [file.name for file in tmp_path.iterdir()] == [MANIFEST_NAME]


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        ({**IDENTITY, "direction": "a-c"}, 'another direction ("a-b", now "a-c")'),
        ({**IDENTITY, "model": {"name": "m", "files": {}}}, "another model.files (null, now {})"),
        (
            {**IDENTITY, "model": {"name": "m", "files": {"a.pt": "1" * 64}}},
            'another model.files.a.pt ("00000000000000000000000000000000000..., now "1111',
        ),
        ({**IDENTITY, "new": 1}, "another new (null, now 1)"),
        (
            {key: value for key, value in IDENTITY.items() if key != "direction"},
            'another direction ("a-b", now null)',
        ),
    ],
)
def test_another_result_is_refused_by_its_first_difference(
    other: dict[str, object], difference: str, tmp_path: Path
) -> None:
    write_manifest(tmp_path, IDENTITY)

    with pytest.raises(TranslationError) as ex:
        check_manifest(tmp_path, other)

    assert difference in str(ex.value)
    assert f"or delete {tmp_path} to begin anew." in str(ex.value)


@pytest.mark.parametrize("content", ["", "{", "[1"])
def test_a_damaged_manifest_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text(content)

    with pytest.raises(TranslationError, match=r"manifest\.json is damaged"):
        check_manifest(tmp_path, IDENTITY)


def test_blocks_of_nobody_knows_what_are_refused(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()

    assert not check_manifest(tmp_path, IDENTITY)

    (tmp_path / "shards" / "00000000.jsonl").write_text("")

    with pytest.raises(TranslationError, match=r"but not its manifest\.json"):
        check_manifest(tmp_path, IDENTITY)
