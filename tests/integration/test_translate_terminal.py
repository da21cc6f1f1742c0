"""`mt translate` as it is typed: through a pipe, with the folder that the demo's run is in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.translating import make_run


def test_a_pipe_in_and_a_file_out(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()

    make_run(tmp_path / "runs" / "demo-jest")

    result = subprocess.run(
        [
            *(sys.executable, "-m", "fairseq2_jest", "mt", "translate", "--preset", "demo"),
            *("--config", "output.path=out.tsv"),
        ],
        input="the dog sees a cat .\n\nthe woman reads a book .\n",
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr[-2000:]

    first, empty, last = (tmp_path / "out.tsv").read_text(encoding="utf-8").splitlines()

    assert first.startswith("the dog sees a cat .\t") and first[-1] != "\t"
    assert empty == ""
    assert last.startswith("the woman reads a book .\t") and last[-1] != "\t"

    assert (tmp_path / "runs" / "demo" / "translate.json").is_file()
