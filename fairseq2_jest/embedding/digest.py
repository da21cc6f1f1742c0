"""What stands for tensors, and for a model."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import torch
from torch import Tensor
from torch.nn import Module


def digest_of_tensors(tensors: Mapping[str, Tensor], head: str = "") -> str:
    """Return 64 hex digits that stand for the names, dtypes, shapes and values of tensors.

    :param head: Goes before them.
    """
    digest = sha256(head.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def digest_of_model(model: Module) -> str:
    """Return 32 hex digits that stand for the structure, parameters and buffers of a model."""
    # Heads and the place of a norm are in no weight.
    return digest_of_tensors(model.state_dict(), head=str(model))[:32]
