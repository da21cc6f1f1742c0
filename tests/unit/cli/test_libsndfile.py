from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fairseq2_jest.cli.libsndfile import LIBRARY, bundled_library
from scripts import link_libsndfile


def test_preloaded_library_is_found_by_its_soname() -> None:
    # In a process of its own, which has loaded nothing yet.
    code = (
        "from fairseq2_jest.cli.libsndfile import has_library, preload\n"
        "preload()\n"
        "assert has_library()\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_link_is_made_once_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "lib" / LIBRARY

    link.parent.mkdir()
    link.symlink_to(tmp_path / "gone")

    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(link_libsndfile, "has_library", lambda: False)

    assert link_libsndfile.main() == 0
    assert link.resolve() == bundled_library()
    assert link_libsndfile.main() == 0


def test_nothing_is_linked_where_the_system_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(link_libsndfile, "has_library", lambda: True)

    assert link_libsndfile.main() == 0
    assert list(tmp_path.iterdir()) == []


def test_machine_without_any_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(link_libsndfile, "has_library", lambda: False)
    monkeypatch.setattr(link_libsndfile, "bundled_library", lambda: None)

    assert link_libsndfile.main() == 1
    assert "install the system's package" in capsys.readouterr().err
