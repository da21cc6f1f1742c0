"""The linear layers whose gradients stand for those of the whole model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fairseq2.utils.validation import Validatable, ValidationResult
from torch import Tensor
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.models.linear import is_linear

_AT_ENCODER: Final = re.compile(r"encoder\.|.+\.encoder_decoder_attn\.[kv]_proj\b")


@dataclass(frozen=True, kw_only=True)
class LayersConfig(Validatable):
    """Which linear layers are tracked.

    The paper takes the MLPs of layers 3, 6, ..., 30 of 32, which is a stride of 3. (Its authors'
    code takes 31 in place of 30.)
    """

    pattern: str = r"(.+\.)?layers\.(?P<layer>\d+)\.(ffn|mlp)\.\w+_proj"
    """A regular expression that the whole name of a linear layer must match; its group ``layer`` is
    the number of the layer, from 0."""

    stride: int = 3
    """Every so many layers of a stack are tracked: with 3, the third, the sixth and so on."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        try:
            if "layer" not in re.compile(self.pattern).groupindex:
                result.add_error(
                    "`pattern` must have a group `layer` for the layer's number, as in "
                    r"`decoder\.layers\.(?P<layer>\d+)\.ffn\.\w+_proj`."
                )
        except re.error as ex:
            result.add_error(f"`pattern` is no regular expression ({ex}).")

        if self.stride < 1:
            result.add_error(f"`stride` must be at least 1, but is {self.stride}.")

        return result


@dataclass(frozen=True, kw_only=True)
class TrackedLayer:
    """A linear layer ``s = W a + b``, of which the gradient of ``[W b]`` is looked at."""

    name: str
    """Its name in the model."""

    module: Module
    """The layer itself."""

    block: str
    """The name up to the layer's number: the linear layers of one FFN share it."""

    has_bias: bool
    """Whether there is a ``b``; inputs then end with a 1."""

    input_dim: int
    """The length of an input, with that 1."""

    output_dim: int
    """The length of an output."""

    @property
    def stack(self) -> Literal["encoder", "decoder"]:
        """What the layer's positions are positions of; ``decoder`` for all of a decoder-only model.

        Keys and values by which a decoder attends to the encoder are made of the encoder's output.
        """
        return "encoder" if _AT_ENCODER.match(self.name) else "decoder"


def find_layers(model: Module, config: LayersConfig) -> tuple[TrackedLayer, ...]:
    """Returns the linear layers that ``config`` names, in the order of the model's modules.

    :raises InfluenceError: There is none, or one is not a plain linear layer.
    """
    pattern = re.compile(config.pattern)

    named = [
        (name, module, match)
        for name, module in model.named_modules()
        if (match := pattern.fullmatch(name)) is not None
    ]

    if not named:
        linear = [name for name, module in model.named_modules() if is_linear(module)]

        raise InfluenceError(
            f"layers.pattern ({config.pattern}) matches no layer; mend it, so that it matches "
            f"names such as {', '.join(linear[:2]) or 'those of linear layers'}."
        )

    kept = [item for item in named if (int(item[2]["layer"]) + 1) % config.stride == 0]

    if not kept:
        raise InfluenceError(
            f"layers.stride is {config.stride}, but the layers that layers.pattern matches are "
            f"fewer; lower it to {max(int(match['layer']) for _, _, match in named) + 1} at most."
        )

    return tuple(_track(name, module, match.end("layer")) for name, module, match in kept)


def last_block(layers: Sequence[TrackedLayer]) -> tuple[TrackedLayer, ...]:
    """The linear layers of the last tracked FFN."""
    return tuple(layer for layer in layers if layer.block == layers[-1].block)


def _track(name: str, module: Module, block_end: int) -> TrackedLayer:
    weight = getattr(module, "weight", None)

    if not is_linear(module) or not isinstance(weight, Tensor) or weight.dim() != 2:
        raise InfluenceError(
            f"layers.pattern matches {name}, which is no linear layer but a "
            f"{type(module).__name__}; mend it."
        )

    has_bias = getattr(module, "bias", None) is not None

    return TrackedLayer(
        name=name,
        module=module,
        block=name[:block_end],
        has_bias=has_bias,
        input_dim=weight.size(1) + has_bias,
        output_dim=weight.size(0),
    )
