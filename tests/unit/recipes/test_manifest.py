from __future__ import annotations

from pathlib import Path

import pytest
from fairseq2.device import CPU
from fairseq2.gang import FakeGang

from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.recipes.manifest import MANIFEST_NAME, claim

IDENTITY: dict[str, object] = {
    "direction": "a-b",
    "model": {"name": "m", "files": {"a.pt": "0" * 64}},
    "empty": {},
}


def claim_for(folder: Path, identity: dict[str, object], *, rank: int = 0) -> None:
    gang = FakeGang(CPU, rank=rank, size=2)

    claim(folder, identity, gang, results="translations", pattern="shards/[!.]*")


def test_the_first_rank_claims_a_new_folder_and_a_claim_is_kept(tmp_path: Path) -> None:
    claim_for(tmp_path, IDENTITY, rank=1)

    assert not any(tmp_path.iterdir())

    claim_for(tmp_path, IDENTITY)

    content = (tmp_path / MANIFEST_NAME).read_bytes()

    claim_for(tmp_path, IDENTITY)

    assert (tmp_path / MANIFEST_NAME).read_bytes() == content
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
    claim_for(tmp_path, IDENTITY)

    with pytest.raises(UsageError) as ex:
        claim_for(tmp_path, other)

    assert difference in str(ex.value)
    assert f"or delete {tmp_path} to begin anew." in str(ex.value)


@pytest.mark.parametrize("content", ["", "{", "[1"])
def test_a_damaged_manifest_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / MANIFEST_NAME).write_text(content)

    with pytest.raises(UsageError, match=r"manifest\.json is damaged"):
        claim_for(tmp_path, IDENTITY)


def test_blocks_of_nobody_knows_what_are_refused(tmp_path: Path) -> None:
    (tmp_path / "shards").mkdir()

    (tmp_path / "shards" / "00000000.jsonl").write_text("")

    with pytest.raises(UsageError, match=r"but not its manifest\.json"):
        claim_for(tmp_path, IDENTITY)
