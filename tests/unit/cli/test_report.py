from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.report.synthetic import write_run

Cli = Callable[..., tuple[int, str, str]]

LIGHT = """
import sys
from fairseq2_jest.cli.main import main
main(sys.argv[1:])
print("heavy:", sorted({"torch", "fairseq2", "transformers", "pyarrow"} & set(sys.modules)))
"""


def test_a_report_needs_neither_torch_nor_fairseq2(tmp_path: Path) -> None:
    run = write_run(tmp_path / "jest", {20: 3.0, 40: 2.0})

    result = subprocess.run(
        [sys.executable, "-c", LIGHT, "mt", "report", str(tmp_path / "out"), str(run)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert result.stdout.splitlines() == [
        f"1 run is compared in {tmp_path / 'out' / 'report.html'}.",
        "heavy: []",
    ]


def test_notes_are_said(cli: Cli, tmp_path: Path) -> None:
    run = write_run(tmp_path / "jest", {20: 3.0}, steps=30)

    code, _, err = cli("mt", "report", str(tmp_path / "out"), str(run))

    assert (code, err) == (
        0,
        "jest has recorded 30 of 40 steps: it is still running, or was stopped.\n",
    )


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["out"], "the following arguments are required: RUN (see fairseq2 mt report --help)."),
        (["out", "jets"], "The run jets does not exist; did you mean jest?"),
        (["out", "jest", "--baseline", "jes"], "The run jes does not exist; did you mean jest?"),
        (["jest", "iid"], "jest is a run itself; name a directory for the report before the runs."),
        (["out", "jest", "--target", "los=2"], "los is not a measure; did you mean loss?"),
        (["out", "jest", "--target", "loss=x"], "--target loss must be a number, but is x."),
        (["out", "jest", "--target", "loss=nan"], "--target loss must be a number, but is nan."),
        (
            ["out", "jest", "--target", "loss=2", "iid"],
            "--target takes NAME=VALUE pairs, and iid is none; runs go before --target.",
        ),
        (["out", "empty"], "There is no run to report on. empty is no run: it has no config.yaml."),
        (
            ["out", "jest", "--baseline", "iid"],
            "The baseline iid is not among the runs (jest); name one of them.",
        ),
        (["jest/config.yaml", "jest"], "The output directory jest/config.yaml cannot be written"),
    ],
)
def test_wrong_usage_is_one_sentence(
    args: list[str], sentence: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    for name in ("jest", "iid"):
        write_run(Path(name), {20: 3.0})

    Path("empty").mkdir()

    code, out, err = cli("mt", "report", *args)

    assert (code, out) == (2, "")
    assert err.startswith(f"fairseq2: {sentence}")
    assert err.count("\n") == 1
