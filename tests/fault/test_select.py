"""`mt select` killed in every stage, 25 times, and resumed by one process or two."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.selecting import STAGES, check_selection_kill, finish, make_data, result, start


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def expected(config: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("alone") / "out"

    finish(start(out, config))

    return result(out)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("kill", range(5))
def test_it_resumes_to_the_same_files(
    stage: str, kill: int, config: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    check_selection_kill(
        tmp_path / "out",
        config,
        expected,
        stage=stage,
        delay=0.05 * kill,
        num_ranks=1 + kill % 2,
    )
