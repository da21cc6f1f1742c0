from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def one_thread() -> Iterator[None]:
    """For results that do not depend on the order in which threads add."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    yield

    torch.set_num_threads(threads)
