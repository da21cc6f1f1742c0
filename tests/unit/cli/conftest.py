from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairseq2_jest import _data
from fairseq2_jest.cli import main as cli_main
from fairseq2_jest.cli.commands import Command

TINY = Command(
    name="tiny",
    help="a command for tests",
    recipe="tests.unit.cli.tiny_recipe:TinyRecipe",
    check="tests.unit.cli.tiny_recipe:check",
)


@pytest.fixture
def presets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of presets for the command ``tiny``, which is the only one there is."""
    folder = tmp_path / "data" / "recipes" / "tiny"

    folder.mkdir(parents=True)

    # The cards are found beside, whatever was imported before.
    monkeypatch.setattr(_data, "__path__", [str(tmp_path / "data"), *_data.__path__])
    monkeypatch.setattr(cli_main, "COMMANDS", (TINY,))
    monkeypatch.chdir(tmp_path)

    return folder


@pytest.fixture
def cli(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Runs the program in this process; returns exit code, standard output and error."""
    root = logging.getLogger()

    handlers, level = root.handlers[:], root.level

    # The program sets its own arguments for fairseq2.
    monkeypatch.setattr("sys.argv", ["fairseq2"])

    def run(*args: str) -> tuple[int, str, str]:
        code = 0

        try:
            cli_main.main(args)
        except SystemExit as ex:
            code = ex.code if isinstance(ex.code, int) else 1

        out, err = capfd.readouterr()

        return code, out, err

    yield run

    root.handlers[:] = handlers

    root.setLevel(level)
