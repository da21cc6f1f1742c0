"""LoRA through peft, for fairseq2's models and for Hugging Face's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import torch
from fairseq2.device import CPU, Device
from fairseq2.models.hg import HgCausalLMAdapter
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.rng import RngBag
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.adapters.adapter import Adapter
from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.adapters.targets import find_beside, find_quantisable, find_targets
from fairseq2_jest.models.linear import as_torch_linear, is_linear
from fairseq2_jest.models.nf4 import Nf4Linear

if TYPE_CHECKING:
    import peft

PEFT_NAME: Final = "default"
"""What peft calls an adapter that was given no name."""


class LoraAdapter(Adapter):
    """Adapts linear layers; everything else of the model is frozen."""

    def __init__(self, config: LoraConfig) -> None:
        self._config = config

    @override
    def check_machine(self, device: Device) -> None:
        if self._config.base_dtype != "nf4":
            return

        if find_spec("bitsandbytes") is None:
            raise AdapterError(
                "`adapter.config.base_dtype: nf4` needs bitsandbytes, which is not installed: pip "
                "install bitsandbytes, or set `base_dtype` to bfloat16."
            )

        if device.type != "cuda":
            raise AdapterError(
                f"`adapter.config.base_dtype: nf4` needs a CUDA GPU, but the model is trained on "
                f"{device}: set `base_dtype` to bfloat16."
            )

    @override
    def attach(self, model: Module, *, family: str, seed: int) -> None:
        from peft import inject_adapter_in_model

        config = self._config

        # fairseq2's wrapper hides what it holds from torch's ways to name a module.
        if isinstance(model, HgCausalLMAdapter):
            model = model.hf_model

        targets = find_targets(model, family, config.targets)

        beside = find_beside(model, config.train_beside, targets)

        in_nf4 = config.base_dtype == "nf4"

        for name in find_quantisable(model, targets, beside) if in_nf4 else targets:
            layer = model.get_submodule(name)

            assert is_linear(layer)

            linear = as_torch_linear(layer)

            # Before peft, for which DoRA's lengths begin as those of the weights that it sees.
            model.set_submodule(name, Nf4Linear(linear) if in_nf4 else linear)

        devices = {parameter.device for parameter in model.parameters()}

        with RngBag.from_device_defaults(CPU, *devices).temporary_manual_seed(seed):
            # A list would be matched against the ends of names.
            pattern = "|".join(map(re.escape, targets))

            inject_adapter_in_model(peft_config(config, pattern), model)

        for name in beside:
            model.get_submodule(name).requires_grad_(True)

        _set_dtypes(model, config.base_dtype)


def create_lora_adapter(resolver: DependencyResolver, config: LoraConfig) -> Adapter:
    return LoraAdapter(config)


def peft_config(config: LoraConfig, targets: str | Sequence[str]) -> peft.LoraConfig:
    """The same in peft's words.

    :param targets: Names of layers, or a regular expression for whole ones.
    """
    import peft

    return peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        use_dora=config.dora,
        use_rslora=config.rslora,
    )


def _set_dtypes(model: Module, base_dtype: str | None) -> None:
    """Vectors are small, and what normalizes must not be held in less than what it normalizes."""
    for parameter in model.parameters():
        if not parameter.is_floating_point():
            continue

        if parameter.requires_grad or (base_dtype is not None and parameter.dim() < 2):
            dtype = torch.float32
        elif base_dtype is not None:
            dtype = torch.bfloat16 if base_dtype == "nf4" else getattr(torch, base_dtype)
        else:
            continue

        parameter.data = parameter.data.to(dtype)
