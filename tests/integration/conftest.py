from __future__ import annotations

from pathlib import Path

import pytest

from tests.translating import LINES, finish, make_run, start, write_lines


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that :func:`make_run` makes, not to be changed."""
    return make_run(tmp_path_factory.mktemp("run") / "run")


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of ``LINES``."""
    return write_lines(tmp_path_factory.mktemp("source") / "in.txt", LINES)


@pytest.fixture(scope="session")
def undisturbed(run: Path, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of one process that translated ``source``, not to be changed."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"

    finish(start(out, f"run.path={run}", f"input.path={source}"))

    return out


@pytest.fixture
def nf4_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets adapters have a base in 4 bits on the CPU.

    Not offered, for it is slow there, but bitsandbytes can do it.
    """
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: make setup")

    from fairseq2_jest.adapters.lora import LoraAdapter

    monkeypatch.setattr(LoraAdapter, "check_machine", lambda self, device: None)
