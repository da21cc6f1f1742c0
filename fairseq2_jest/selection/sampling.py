"""Drawing rows by logits: temperature, effective support, Gumbel top-k."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from fairseq2_jest.selection.errors import SelectionError


def sub_batch_size(num_rows: int, filter_ratio: float) -> int:
    """The number of pairs to choose from ``num_rows`` candidates."""
    return max(1, round(num_rows * (1.0 - filter_ratio)))


def chunk_sizes(num_rows: int, filter_ratio: float, num_chunks: int) -> list[int]:
    """Sizes of the chunks that are drawn one after another; empty ones are left out.

    They add up to ``round(num_rows * (1 - filter_ratio))``, at least 1. (Algorithm 1 of
    arXiv 2511.04406 floors each chunk and so loses rows: 4000, 0.9, 4 gives 99 in floating point.)

    :raises SelectionError: An argument is out of range.
    """
    if num_rows < 1:
        raise SelectionError("A super-batch must have at least one row.")
    if not 0.0 <= filter_ratio < 1.0:
        raise SelectionError(f"filter_ratio must be in [0, 1), but is {filter_ratio}.")
    if num_chunks < 1:
        raise SelectionError(f"num_chunks must be at least 1, but is {num_chunks}.")

    total = sub_batch_size(num_rows, filter_ratio)

    quotient, remainder = divmod(total, num_chunks)

    sizes = [quotient + (1 if chunk < remainder else 0) for chunk in range(num_chunks)]

    return [size for size in sizes if size > 0]


def gumbel_noise(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Standard Gumbel noise in fp32, drawn on the generator's device."""
    uniform = torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float64)

    # `rand` can return 0, never 1.
    uniform.clamp_(min=torch.finfo(torch.float64).tiny)

    return -torch.log(-torch.log(uniform)).float()


def top_rows(keys: Tensor, num_rows: int) -> Tensor:
    """Indices of the largest keys, largest first; of equal keys the lowest index comes first."""
    return torch.sort(keys, descending=True, stable=True).indices[:num_rows]


def effective_support(logits: Tensor) -> float:
    """``exp`` of the entropy of ``softmax(logits)``: over how many rows a draw is spread."""
    log_probs = torch.log_softmax(logits.double(), dim=0)

    return math.exp(-float((log_probs.exp() * log_probs).nan_to_num(0.0).sum()))


def standardise(logits: Tensor) -> Tensor:
    """Zero mean and unit variance; constant logits become zeros."""
    centred = logits - logits.mean()

    deviation = centred.square().mean().sqrt()

    # Rounding leaves a deviation behind where all logits are equal.
    if float(deviation) <= 1e-6 * max(1.0, float(logits.abs().max())):
        return torch.zeros_like(logits)

    return centred / deviation


def temperature_for_support(logits: Tensor, target_support: float) -> float:
    """The temperature at which ``softmax(logits / T)`` has the given effective support.

    The support grows with ``T``, so ``T`` is found by bisection on its logarithm. A target at or
    above the number of rows gives the highest temperature searched, one that ties cannot reach
    gives the lowest.
    """
    low, high = math.log(1e-3), math.log(1e3)

    values = logits.double()

    for _ in range(48):
        middle = 0.5 * (low + high)

        if effective_support(values / math.exp(middle)) < target_support:
            low = middle
        else:
            high = middle

    return math.exp(0.5 * (low + high))
