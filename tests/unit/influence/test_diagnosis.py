from __future__ import annotations

import numpy as np
import pytest
import torch

from fairseq2_jest.influence.diagnosis import mean_correlation


def test_the_mean_correlation_is_numpys() -> None:
    first, second = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0))

    # Says nothing.
    first[:, 1] = 4.0

    expected = [np.corrcoef(first[:, i], second[:, i])[0, 1] for i in (0, 2)]

    assert mean_correlation(first, second) == pytest.approx(np.mean(expected))
    assert mean_correlation(first, 3.0 * first + 1.0) == pytest.approx(1.0)
    assert mean_correlation(first, -first) == pytest.approx(-1.0)


@pytest.mark.parametrize("num_pairs", [0, 1, 5])
def test_there_is_none_where_nothing_varies(num_pairs: int) -> None:
    assert mean_correlation(torch.ones(num_pairs, 3), torch.ones(num_pairs, 3)) is None
