"""Finding the modules that an adapter's patterns name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from torch.nn import Module

from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.models.linear import is_linear, is_sharded

_ENCODER_DECODER: Final = (
    r"(encoder|decoder)\.layers\.\d+\.(self_attn|encoder_decoder_attn|ffn)\.\w+_proj"
)

_DECODER_ONLY: Final = r"decoder\.layers\.\d+\.(self_attn|ffn)\.\w+_proj"

# Whatever its names are, a layer of a stack has its number in them; the projection to the
# vocabulary is in no stack.
_STACKED: Final = r".*\.\d+\..*"

DEFAULT_TARGETS: Final = {
    "nllb": _ENCODER_DECODER,
    "mbart": _ENCODER_DECODER,
    "llama": _DECODER_ONLY,
    "mistral": _DECODER_ONLY,
    "olmo": _DECODER_ONLY,
    "qwen": _DECODER_ONLY,
    "hg": _STACKED,
}
"""By the family of the model: all linear layers of attention and feed-forward networks."""


def find_targets(model: Module, family: str, patterns: Sequence[str] | None) -> list[str]:
    """Returns the names of the linear layers that are to be adapted, in the model's order.

    :param patterns: Regular expressions for whole names; ``None`` for the family's default.

    :raises AdapterError: A pattern matches none, or one that cannot be adapted.
    """
    if patterns is None:
        if family not in DEFAULT_TARGETS:
            raise AdapterError(
                f"adapter.config.targets has no default for the model family {family}; name the "
                f"layers, such as {_examples(_linear_names(model))}."
            )

        patterns = [DEFAULT_TARGETS[family]]

    linear = _linear_names(model)

    found = set(_match(patterns, linear, "targets", "linear layer"))

    tied = _tied_parameters(model)

    for name in found:
        module = model.get_submodule(name)

        if any(id(parameter) in tied for parameter in module.parameters(recurse=False)):
            raise AdapterError(
                f"adapter.config.targets matches {name}, which shares its weights with another "
                f"module; leave it out."
            )

        if is_linear(module) and is_sharded(module):
            raise AdapterError(
                "An adapter cannot be attached to a model that tensor parallelism shares out; set "
                "gang.tensor_parallel_size to 1."
            )

    return [name for name in linear if name in found]


def find_beside(model: Module, patterns: Sequence[str], targets: Sequence[str]) -> list[str]:
    """Returns the names of the modules that are trained themselves, in the model's order.

    :param targets: The names of the layers that are to be adapted.

    :raises AdapterError: A pattern matches none, or one that holds a layer to be adapted.
    """
    names = [
        name
        for name, module in model.named_modules()
        if name and any(True for _ in module.parameters())
    ]

    found = set(_match(patterns, names, "train_beside", "module with parameters"))

    for name in found:
        for target in targets:
            if f"{target}.".startswith(f"{name}."):
                raise AdapterError(
                    f"adapter.config.train_beside matches {name}, and adapter.config.targets "
                    f"{target}: a layer is adapted or trained itself; mend one of them."
                )

    return [name for name in names if name in found]


def find_quantisable(model: Module, targets: Sequence[str], beside: Sequence[str]) -> list[str]:
    """Returns the names of the frozen linear layers that few bits are enough for: those of stacks,
    and those that are to be adapted.

    :param targets: The names of the layers that are to be adapted.
    :param beside: The names of the modules that are trained themselves.
    """
    tied = _tied_parameters(model)

    def is_quantisable(name: str) -> bool:
        if name not in targets and not re.fullmatch(_STACKED, name):
            return False

        if any(f"{name}.".startswith(f"{module}.") for module in beside):
            return False

        return not any(id(p) in tied for p in model.get_submodule(name).parameters())

    return [name for name in _linear_names(model) if is_quantisable(name)]


def _match(patterns: Sequence[str], names: Sequence[str], field: str, kind: str) -> list[str]:
    found = []

    for pattern in patterns:
        matched = [name for name in names if re.fullmatch(pattern, name)]

        if not matched:
            raise AdapterError(
                f"adapter.config.{field} has {pattern}, which matches no {kind}; mend it, so that "
                f"it matches whole names such as {_examples(names)}."
            )

        found += matched

    return found


def _linear_names(model: Module) -> list[str]:
    return [name for name, module in model.named_modules() if is_linear(module)]


def _tied_parameters(model: Module) -> set[int]:
    """The identities of the parameters that more than one module has."""
    seen: set[int] = set()

    tied: set[int] = set()

    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            (tied if id(parameter) in seen else seen).add(id(parameter))

    return tied


def _examples(names: Sequence[str]) -> str:
    return f"{names[0]} and {names[-1]}" if names else "those of its linear layers"
