"""How the README's commands of other programs than this one are tried."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.run import get_args_parser

from tests.integration.forked import fork
from tests.repository import REPOSITORY


def check_make_target(command: str, folder: Path) -> None:
    subprocess.run([*shlex.split(command), "-n"], cwd=REPOSITORY, check=True, capture_output=True)


def check_install(command: str, folder: Path) -> None:
    # Nothing is downloaded or installed, but the metadata is built.
    options = ["--dry-run", "--no-deps", "--no-index", "--no-build-isolation", "--quiet"]

    subprocess.run(
        [sys.executable, "-m", *shlex.split(command), *options], cwd=REPOSITORY, check=True
    )


def check_arguments(command: str, folder: Path) -> None:
    """A benchmark may take an hour: it is stopped once its arguments are read."""
    _, _, module, *args = shlex.split(command)

    def call() -> None:
        parse = ArgumentParser.parse_args

        def parse_and_end(self: ArgumentParser, *values: Any) -> Namespace:
            parse(self, *values)

            sys.exit(77)

        sys.argv = [module, *args]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ArgumentParser, "parse_args", parse_and_end)

            runpy.run_module(module, run_name="__main__")

    result = fork(call, folder).wait()

    assert result.code == 77, result.err


def check_torchrun(command: str, folder: Path) -> None:
    """What stands before a command: its options are those of torchrun."""
    parser = get_args_parser()

    options, _ = parser.parse_known_args([*shlex.split(command)[1:], "a command"])

    assert options.no_python and options.nproc_per_node == "4"


def check_uv(command: str, folder: Path) -> None:
    """Nothing is installed, but what it names is there, and pins what COMET is tested with."""
    args = shlex.split(command)[1:]

    if args[0] == "venv":
        return

    assert args[:2] == ["pip", "install"]

    files = [REPOSITORY / arg for arg in args if arg.startswith("requirements/")]

    assert files and all(file.is_file() for file in files)
    assert any("unbabel-comet==2.2.7" in file.read_text(encoding="utf-8") for file in files)


def check_requirement(command: str, folder: Path) -> None:
    """sacrebleu, or this package, has an extra of this name."""
    ((name, extra),) = re.findall(r"'([\w.]+)\[(\w+)\]'", command)

    package = "fairseq2_jest" if name == "." else name

    assert extra in (metadata(package).get_all("Provides-Extra") or [])
