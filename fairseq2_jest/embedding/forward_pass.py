"""Forward passes that leave no trace in a model, be it in training or frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import torch
from fairseq2.device import Device
from fairseq2.gang import Gang, ReduceOperation
from torch import Tensor
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.nn import Module

from fairseq2_jest.embedding.tokens import batches_by_length

_FSDP_METHOD: Final = "call_for_selection"


class ForwardPass:
    """Runs parts of a model over many sequences, in batches of like length.

    Dropout is off, no gradient is kept, and every module's mode is restored. Under FSDP2 a run is a
    collective: all ranks call it together, each with at least one sequence of its own.
    """

    def __init__(
        self,
        model: Module,
        *,
        device: Device,
        max_num_tokens: int,
        autocast_dtype: torch.dtype | None = None,
        gang: Gang | None = None,
    ) -> None:
        """
        :param model: The bare model, not its data parallel wrapper; of FSDP2, which shards it in
            place, afterwards.
        :param max_num_tokens: The most tokens in a forward pass, padding included.
        :param autocast_dtype: The dtype of the run's mixed precision, ``None`` where it has none.
        :param gang: The ranks among which FSDP shards the model.
        """
        self._model = model
        self._device = device
        self._max_num_tokens = max_num_tokens
        self._autocast_dtype = autocast_dtype
        self._gang = gang

        if isinstance(model, FSDPModule):
            # Only a forward method of the root gathers what FSDP keeps there.
            setattr(model, _FSDP_METHOD, lambda forward, batch: forward(batch))

            register_fsdp_forward_method(model, _FSDP_METHOD)

    @property
    def model(self) -> Module:
        """The bare model."""
        return self._model

    @property
    def device(self) -> Device:
        """Where the model is."""
        return self._device

    @torch.no_grad()
    def run(
        self, lengths: Sequence[int], forward: Callable[[list[int]], Tensor], out: Tensor
    ) -> None:
        """Fills ``out`` with what ``forward`` makes of the sequences.

        :param lengths: The length of each of N sequences in tokens.
        :param forward: Called with the places of a batch's sequences, returns one row for each.
        :param out: *Shape:* ``(N, ...)``.
        """
        batches = list(batches_by_length(lengths, self._max_num_tokens))

        num_passes = self._num_passes(len(batches))

        with evaluating(self._model), autocast(self._device, self._autocast_dtype):
            for index in range(num_passes):
                # A rank that is done takes part in what the others still do.
                batch = batches[min(index, len(batches) - 1)]

                out[batch] = self._call(forward, batch)

    def _num_passes(self, num_batches: int) -> int:
        if self._gang is None or not isinstance(self._model, FSDPModule):
            return num_batches

        num_passes = torch.tensor(num_batches, device=self._gang.device)

        self._gang.all_reduce(num_passes, ReduceOperation.MAX)

        return int(num_passes)

    def _call(self, forward: Callable[[list[int]], Tensor], batch: list[int]) -> Any:
        model = self._model

        if not isinstance(model, FSDPModule):
            return forward(batch)

        return getattr(model, _FSDP_METHOD)(forward, batch)


def autocast(device: Device, dtype: torch.dtype | None) -> torch.autocast | nullcontext[None]:
    """Mixed precision of a dtype; none for ``None``."""
    if dtype is None or dtype == torch.float32:
        return nullcontext()

    return torch.autocast(device_type=device.type, dtype=dtype)


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Puts a model in eval mode; afterwards each module has the mode it had before."""
    training = [module for module in model.modules() if module.training]

    model.eval()

    try:
        yield
    finally:
        for module in training:
            module.training = True
