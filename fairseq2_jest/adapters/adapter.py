"""What every adapter offers; the component that a recipe names as `adapter`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fairseq2.device import Device
from fairseq2.runtime.dependency import DependencyResolver
from torch import Tensor
from torch.nn import Module
from typing_extensions import override


class Adapter(ABC):
    """Freezes a model, and adds what is trained in its place.

    Register one of your own with ``fairseq2.recipe.component.register_component(container,
    Adapter, name, config_kls, factory)``, name it in the configuration, and register a
    :class:`CheckpointMerger` under the same name for what loads the run's checkpoints.
    """

    def check_machine(self, device: Device) -> None:
        """Checks that this machine has what the adapter needs.

        :param device: Where the model is trained.

        :raises AdapterError: It has not.
        """
        return

    @abstractmethod
    def attach(self, model: Module, *, family: str, seed: int) -> None:
        """Changes ``model`` in place; the parameters that are to be trained require a gradient.

        A model may be on the meta device: on all ranks but the first, and where a run goes on from
        a checkpoint, which overwrites every parameter.

        :param family: The name of its family, such as ``nllb``.
        :param seed: Decides what is random; torch's own generators are left alone.

        :raises AdapterError: The adapter does not fit the model.
        """


class CheckpointMerger(ABC):
    """Makes the checkpoint of an adapted model that of a plain one.

    Register one with ``container.register_instance(CheckpointMerger, merger, key=name)``.
    """

    @abstractmethod
    def merge(
        self, checkpoint: Iterable[tuple[str, Tensor]], config: Mapping[str, Any]
    ) -> Iterator[tuple[str, Tensor]]:
        """Yields the weights of the plain model, under its own names.

        :param checkpoint: The weights of the adapted model, in the order of its modules.
        :param config: The config of the adapter, as YAML would give it.

        :raises AdapterError: They do not belong together.
        """


NO_ADAPTER = "none"


@dataclass(frozen=True, kw_only=True)
class NoAdapterConfig:
    """All parameters are trained; there is nothing to configure."""


class NoAdapter(Adapter):
    """Leaves a model as it is."""

    @override
    def attach(self, model: Module, *, family: str, seed: int) -> None:
        pass


def create_no_adapter(resolver: DependencyResolver, config: NoAdapterConfig) -> Adapter:
    return NoAdapter()
