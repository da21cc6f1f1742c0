"""Labels drawn from what the model itself predicts, for the true Fisher."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def uniforms(seed: int, rows: Sequence[int], counts: Sequence[int]) -> Tensor:
    """Numbers in [0, 1), ``counts[i]`` of them for pair ``rows[i]``, in that order.

    They depend on the pair alone: however pairs are batched and shared out, each token gets the
    same. *Shape of the result:* ``(sum of counts)``, fp32.
    """
    numbers = [
        np.random.Generator(np.random.Philox(key=[seed, row])).random(count, dtype=np.float32)
        for row, count in zip(rows, counts, strict=True)
    ]

    return torch.from_numpy(np.concatenate(numbers))


def sample_labels(logits: Tensor, numbers: Tensor) -> Tensor:
    """Draws a label for each token by inverting its distribution.

    :param logits: *Shape:* ``(T, V)``, fp32.
    :param numbers: In [0, 1). *Shape:* ``(T)``.

    :returns: *Shape:* ``(T)``.
    """
    cumulative = torch.softmax(logits, dim=-1).cumsum(dim=-1)

    # The sum of all may round to something below or above 1.
    wanted = numbers[:, None] * cumulative[:, -1:]

    return torch.searchsorted(cumulative, wanted, right=True)[:, 0].clamp(max=logits.size(1) - 1)
