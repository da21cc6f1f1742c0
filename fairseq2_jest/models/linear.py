"""The linear layers of fairseq2 and of torch."""

from __future__ import annotations

import torch
from fairseq2.nn import ColumnShardedLinear, Linear, RowShardedLinear
from torch.nn import Module
from typing_extensions import TypeIs

AnyLinear = torch.nn.Linear | Linear | ColumnShardedLinear | RowShardedLinear


def is_linear(module: Module) -> TypeIs[AnyLinear]:
    """Whether a module is a linear layer with a weight of its own, not one tied to an embedding."""
    return isinstance(module, AnyLinear)


def is_sharded(module: AnyLinear) -> bool:
    """Whether tensor parallelism has shared the layer out among ranks."""
    return isinstance(module, (ColumnShardedLinear, RowShardedLinear)) and module.sharded


def as_torch_linear(module: AnyLinear) -> torch.nn.Linear:
    """The same layer as torch's own, whose parameters are those of ``module``, not copies.

    Libraries such as peft know no other. The layer must not be sharded.
    """
    if isinstance(module, torch.nn.Linear):
        return module

    with torch.device("meta"):
        linear = torch.nn.Linear(module.input_dim, module.output_dim, bias=module.bias is not None)

    linear.weight = module.weight

    if module.bias is not None:
        linear.bias = module.bias

    return linear.train(module.training)
