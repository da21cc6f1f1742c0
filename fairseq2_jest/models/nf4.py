"""Frozen linear layers in 4 bits, by bitsandbytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor
from torch.nn import Module, Parameter
from typing_extensions import override

if TYPE_CHECKING:
    from bitsandbytes.functional import QuantState

_TYPE: Final = "nf4"

_BLOCK_SIZE: Final = 64


class Nf4Linear(torch.nn.Linear):
    """A frozen linear layer whose weight is held in NF4 (Dettmers et al. 2023, arXiv 2305.14314).

    Each weight is one of 16 numbers, times the largest magnitude of the 64 weights of its block.
    Both are parameters, which data parallelism copies between ranks; bitsandbytes' own layer keeps
    the latter beside its weight.

    The state is that of a plain layer, in bfloat16, so that who reads a checkpoint need not know of
    this. What was saved becomes the same 4 bits when it is loaded: weights are rounded to bfloat16
    before they are quantised, so that the largest magnitudes, which stay as they are, lose nothing
    by it, and the other numbers are too far apart to be confused.
    """

    packed: Parameter
    """Two weights a byte. *Shape:* :math:`(N / 2)`, where :math:`N` is the number of weights."""

    absmax: Parameter
    """The largest magnitude of each block, in float32. *Shape:* :math:`(N / 64)`"""

    def __init__(self, linear: torch.nn.Linear) -> None:
        """
        :param linear: The layer that this is made of; its bias is shared. It may be on the meta
            device.
        """
        # Not torch's, which makes a weight.
        Module.__init__(self)

        self.in_features, self.out_features = linear.in_features, linear.out_features

        packed, absmax = self._quantise(linear.weight.detach())

        self.packed = Parameter(packed, requires_grad=False)
        self.absmax = Parameter(absmax, requires_grad=False)

        self.register_parameter("bias", linear.bias)

        self.train(linear.training)

    @property
    def num_weights(self) -> int:
        return self.out_features * self.in_features

    # Of the layer that peft and others know, in which it is a parameter.
    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """What the 4 bits stand for. It is not kept.

        In float32, since peft gives an adapter the type of what it adapts. *Shape:* :math:`(O, I)`
        """
        return self._dequantise().float()

    @override
    def reset_parameters(self) -> None:
        """For fairseq2, which does so before it loads a checkpoint."""
        with torch.no_grad():
            self.packed.zero_()
            self.absmax.zero_()

    @override
    def forward(self, input: Tensor) -> Tensor:
        import bitsandbytes

        kind = input.device.type

        # torch does not know this as what autocast is for.
        if torch.is_autocast_enabled(kind):
            input = input.to(torch.get_autocast_dtype(kind))

        bias = None if self.bias is None else self.bias.to(input.dtype)

        # With AVX-512, bitsandbytes takes each row to begin a block.
        if kind == "cpu" and self.in_features % _BLOCK_SIZE != 0:
            return torch.nn.functional.linear(input, self._dequantise().to(input.dtype), bias)

        state = self._state(input.dtype, (self.out_features, self.in_features))

        output: Tensor = bitsandbytes.matmul_4bit(
            input, self.packed.unsqueeze(1), quant_state=state, bias=bias
        )

        return output

    def _quantise(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        if weight.is_meta:
            num_bytes, num_blocks = -(-self.num_weights // 2), -(-self.num_weights // _BLOCK_SIZE)

            return (
                torch.empty(num_bytes, dtype=torch.uint8, device="meta"),
                torch.empty(num_blocks, dtype=torch.float32, device="meta"),
            )

        from bitsandbytes.functional import quantize_4bit

        packed, state = quantize_4bit(
            weight.bfloat16().contiguous(), blocksize=_BLOCK_SIZE, quant_type=_TYPE
        )

        return packed.squeeze(1), state.absmax

    def _dequantise(self) -> Tensor:
        if self.packed.is_meta:
            return torch.empty(
                self.out_features, self.in_features, dtype=torch.bfloat16, device="meta"
            )

        from bitsandbytes.functional import dequantize_4bit

        # In one row; see `forward`.
        weight: Tensor = dequantize_4bit(
            self.packed.detach().unsqueeze(1), self._state(torch.bfloat16, (1, self.num_weights))
        )

        return weight.view(self.out_features, self.in_features)

    def _state(self, dtype: torch.dtype, shape: tuple[int, int]) -> QuantState:
        from bitsandbytes.functional import QuantState

        return QuantState(
            self.absmax.detach(),
            shape=torch.Size(shape),
            dtype=dtype,
            blocksize=_BLOCK_SIZE,
            quant_type=_TYPE,
        )

    @override
    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)

        for name in ("packed", "absmax"):
            del destination[f"{prefix}{name}"]

        weight = self._dequantise()

        # All layers together may be more than a GPU has left.
        destination[f"{prefix}weight"] = weight if weight.is_meta else weight.cpu()

    @override
    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        if (weight := state_dict.pop(f"{prefix}weight", None)) is not None:
            packed, absmax = self._quantise(weight.to(self.packed.device))

            state_dict |= {f"{prefix}packed": packed, f"{prefix}absmax": absmax}

        super()._load_from_state_dict(state_dict, prefix, *args)


def num_weights(model: Module, parameters: Iterable[Parameter]) -> int:
    """How many weights are in parameters of a model, whatever holds them."""
    quantised = [module for module in model.modules() if isinstance(module, Nf4Linear)]

    sizes = {id(layer.packed): layer.num_weights for layer in quantised}

    sizes |= {id(layer.absmax): 0 for layer in quantised}

    return sum(sizes.get(id(parameter), parameter.numel()) for parameter in parameters)
