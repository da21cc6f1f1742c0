"""Tensors of layers by name, ``<layer>/<kind>``: as files hold them, and as they are summed up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, TypeVar

from fairseq2.device import Device
from torch import Tensor

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")


class LayerSums:
    """Sums that are made piece by piece."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """
        :param tensors: As :attr:`tensors` gives them.
        """
        self.tensors = dict(tensors)
        """What is summed up, by its name."""

    def add_sums(self, other: LayerSums) -> None:
        """Adds what another has, of the layers that are here."""
        for name, tensor in self.tensors.items():
            tensor += other.tensors[name].to(tensor.device)


def to_tensors(layers: Mapping[str, DataclassInstance]) -> dict[str, Tensor]:
    """For a file.

    :param layers: What each layer has, in fields that are tensors.
    """
    return {
        f"{name}/{field.name}": getattr(layer, field.name)
        for name, layer in layers.items()
        for field in fields(layer)
    }


def from_tensors(kls: type[T], tensors: Mapping[str, Tensor], device: Device) -> dict[str, T]:
    """What :func:`to_tensors` was given, of the class ``kls``."""
    found: dict[str, dict[str, Tensor]] = {}

    for key, tensor in tensors.items():
        name, _, kind = key.rpartition("/")

        found.setdefault(name, {})[kind] = tensor.to(device)

    return {name: kls(**kinds) for name, kinds in found.items()}
