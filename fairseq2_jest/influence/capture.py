"""What goes into tracked layers, and the outputs whose gradients are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from torch import Tensor
from torch.nn import Module

from fairseq2_jest.embedding.forward_pass import evaluating
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.layers import TrackedLayer


class Capture:
    """Holds inputs and outputs of layers in a forward pass that runs inside the context.

    The graph begins at the output of the lowest tracked layer: below it nothing is recorded, hence
    a backward pass stops there.
    """

    def __init__(self, layers: Sequence[TrackedLayer]) -> None:
        self._layers = layers
        self._handles: list[Any] = []
        self._inputs: dict[str, Tensor] = {}
        self._outputs: dict[str, Tensor] = {}

    @property
    def inputs(self) -> list[Tensor]:
        """The input of each layer. *Shape:* ``(N, S, in)``, without a graph."""
        return [self._inputs[layer.name] for layer in self._layers]

    @property
    def outputs(self) -> list[Tensor]:
        """The output of each layer. *Shape:* ``(N, S, out)``, to be differentiated by.

        :raises InfluenceError: A layer was not run.
        """
        for layer in self._layers:
            if layer.name not in self._outputs:
                raise InfluenceError(
                    f"The model does not use {layer.name} to translate; mend layers.pattern, so "
                    "that it does not match it."
                )

        return [self._outputs[layer.name] for layer in self._layers]

    def __enter__(self) -> Capture:
        for layer in self._layers:
            self._handles.append(layer.module.register_forward_hook(self._hook(layer.name)))

        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _hook(self, name: str) -> Any:
        def keep(module: Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if name in self._outputs:
                raise InfluenceError(
                    f"The model uses {name} twice in a pass, which tracked layers must not be; "
                    "mend layers.pattern, so that it does not match it."
                )

            if not output.requires_grad:
                output = output.detach().requires_grad_()

            self._inputs[name] = inputs[0].detach()
            self._outputs[name] = output

            return output

        return keep


@contextmanager
def frozen(model: Module) -> Iterator[None]:
    """Takes dropout and the gradients of weights out of a model; afterwards it is as before."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]

    model.requires_grad_(False)

    try:
        with evaluating(model):
            yield
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
