from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.runtime.dependency import DependencyResolver

from tests.hugging_face import KINDS, library, make_folder


@pytest.fixture(scope="session")
def resolver() -> DependencyResolver:
    """fairseq2's library with the extension, as the process's default."""
    return library()


@pytest.fixture(scope="session")
def folders(
    tmp_path_factory: pytest.TempPathFactory, resolver: DependencyResolver
) -> dict[tuple[str, bool], Path]:
    """A folder of each kind, with the published order of tokens and with a shuffled one."""
    return {
        (kind, shuffled): make_folder(
            tmp_path_factory.mktemp(kind), kind, shuffled=shuffled, seed=3
        )
        for kind in KINDS
        for shuffled in (False, True)
    }


@pytest.fixture(autouse=True)
def reproducible() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)

        yield


@pytest.fixture(params=[(k, s) for k in KINDS for s in (False, True)], ids=str)
def folder(request: pytest.FixtureRequest, folders: dict[Any, Path]) -> tuple[str, Path]:
    """Each in turn, with its kind."""
    return request.param[0], folders[request.param]
