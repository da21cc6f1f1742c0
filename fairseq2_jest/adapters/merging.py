"""Merging LoRA's matrices into the weights that they adapt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final

import torch
from torch import Tensor
from typing_extensions import override

from fairseq2_jest.adapters.adapter import CheckpointMerger
from fairseq2_jest.adapters.errors import AdapterError

LORA_KEY: Final = re.compile(
    r"(?P<layer>.+)\.(?P<part>base_layer|(lora_A|lora_B|lora_magnitude_vector)\.default)"
    r"\.(?P<parameter>weight|bias)"
)
"""The name of a parameter of an adapted layer, in a model that peft's adapters are injected in."""


class LoraMerger(CheckpointMerger):
    """Merges layer by layer, in float32, and by peft's own code."""

    @override
    def merge(
        self, checkpoint: Iterable[tuple[str, Tensor]], config: Mapping[str, Any]
    ) -> Iterator[tuple[str, Tensor]]:
        for layer, items in groupby(checkpoint, lambda item: _layer_of(item[0])):
            if layer is None:
                yield from items
            else:
                parts = {key.removeprefix(f"{layer}."): value for key, value in items}

                yield from _merge_layer(layer, parts, config)


def _layer_of(key: str) -> str | None:
    match = LORA_KEY.fullmatch(key)

    return None if match is None else match["layer"]


def _merge_layer(
    layer: str, parts: Mapping[str, Tensor], config: Mapping[str, Any]
) -> Iterator[tuple[str, Tensor]]:
    import peft
    from peft.tuners.lora import LoraLayer

    try:
        weight, a = parts["base_layer.weight"], parts["lora_A.default.weight"]

        with torch.device("meta"):
            linear = torch.nn.Linear(
                weight.size(1), weight.size(0), bias="base_layer.bias" in parts
            )

            model = peft.inject_adapter_in_model(
                peft.LoraConfig(
                    r=a.size(0),
                    lora_alpha=config["alpha"],
                    use_rslora=config["rslora"],
                    use_dora=config["dora"],
                    target_modules=["layer"],
                ),
                torch.nn.ModuleDict({"layer": linear}),
            )

        adapted = model.get_submodule("layer")

        adapted.load_state_dict({key: value.float() for key, value in parts.items()}, assign=True)
    except (KeyError, TypeError, RuntimeError) as ex:
        raise AdapterError(
            f"The weights of {layer} in the checkpoint are not those of the adapter that the run "
            f"has written down; restore the files."
        ) from ex

    assert isinstance(adapted, LoraLayer)

    try:
        # In a copy: the weights may be those of a model that goes on.
        adapted.merge(safe_merge=True)
    except ValueError as ex:
        raise AdapterError(
            f"The weights of {layer} in the checkpoint are not finite; name an earlier checkpoint."
        ) from ex

    for name, parameter in adapted.get_base_layer().named_parameters():
        yield f"{layer}.{name}", parameter.detach()
