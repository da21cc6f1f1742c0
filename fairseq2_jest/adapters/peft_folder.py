"""An adapter as a folder that peft loads onto the base model of transformers.

The layers have other names there, and some converters put the rows of a weight in another order.
Both are found by converting weights that hold nothing but the numbers of their rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from fairseq2.models.hg import HuggingFaceConverter
from torch import Tensor
from torch.nn import Module

from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.adapters.lora import PEFT_NAME, peft_config
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.adapters.merging import LORA_KEY


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where the weight of a linear layer is in transformers."""

    layer: str
    """The name of the layer."""

    rows: Tensor
    """Which of fairseq2's rows it has, in its order."""


def save_peft_folder(
    folder: Path,
    weights: Mapping[str, Tensor],
    empty_model: Module,
    config: LoraConfig,
    converter: HuggingFaceConverter,
    model_config: object,
    *,
    base_model: str | None,
) -> None:
    """Writes ``adapter_model.safetensors`` and ``adapter_config.json``.

    :param weights: Those of the adapted model.
    :param empty_model: The same model on the meta device, for its names and shapes.
    :param config: The config of the adapter.
    :param converter: The converter of the model's family.
    :param model_config: The config of the model.
    :param base_model: The base model's name on Hugging Face's hub, or its folder.

    :raises AdapterError: The weights are not those of the model.
    """
    import peft

    shapes, layers = _plain_shapes(empty_model)

    places = _find_places(shapes, layers, converter, model_config)

    beside = _convert_beside(weights, empty_model, shapes, converter, model_config)

    model = empty_hugging_face_model(converter, model_config)

    tied = _tied_names(model, beside)

    lora = peft_config(config, [place.layer for place in places.values()])

    lora.modules_to_save = sorted({name.rpartition(".")[0] for name in tied}) or None
    lora.task_type = (
        peft.TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else peft.TaskType.CAUSAL_LM
    )

    adapted = peft.get_peft_model(model, lora)

    # Before, peft would put the name of the empty model there.
    adapted.peft_config[PEFT_NAME].base_model_name_or_path = base_model

    state = _adapter_state(weights, places)

    for name, like in tied.items():
        module, _, parameter = name.rpartition(".")

        state[f"{module}.modules_to_save.{PEFT_NAME}.{parameter}"] = beside[like]

    unexpected = (
        adapted.get_base_model().load_state_dict(state, strict=False, assign=True).unexpected_keys
    )

    missing = [n for n, p in adapted.named_parameters() if p.requires_grad and p.is_meta]

    if unexpected or missing:
        raise AdapterError(
            f"The adapter has no place in transformers' model ({[*unexpected, *missing][0]}); "
            f"export the merged model."
        )

    # It would ask the hub whether the vocabulary has grown.
    adapted.save_pretrained(str(folder), save_embedding_layers=False)


def _plain_shapes(empty_model: Module) -> tuple[dict[str, torch.Size], list[str]]:
    """The shapes of the model without the adapter, and the names of the adapted layers."""
    shapes, layers = {}, []

    for key, value in empty_model.state_dict().items():
        match = LORA_KEY.fullmatch(key)

        if match is None:
            shapes[key] = value.shape
        elif match["part"] == "base_layer":
            shapes[f"{match['layer']}.{match['parameter']}"] = value.shape

            if match["parameter"] == "weight":
                layers.append(match["layer"])

    return shapes, layers


def _find_places(
    shapes: Mapping[str, torch.Size],
    layers: Sequence[str],
    converter: HuggingFaceConverter,
    model_config: object,
) -> dict[str, _Place]:
    probe: dict[str, object] = _filled(shapes, torch.zeros((), dtype=torch.int32))

    owner: dict[int, tuple[str, int]] = {}

    begin = 1

    for layer in layers:
        num_rows, num_columns = shapes[f"{layer}.weight"]

        rows = torch.arange(begin, begin + num_rows, dtype=torch.int32)

        probe[f"{layer}.weight"] = rows.unsqueeze(1).expand(num_rows, num_columns)

        owner |= dict.fromkeys(range(begin, begin + num_rows), (layer, begin))

        begin += num_rows

    places: dict[str, _Place] = {}

    for key, value in converter.to_hg_state_dict(probe, model_config).items():
        assert isinstance(value, Tensor)

        if value.dim() == 2 and (first := int(value[0, 0])) in owner:
            layer, begin = owner[first]

            places[layer] = _Place(
                layer=key.removesuffix(".weight"), rows=value[:, 0].long() - begin
            )

    return {layer: places[layer] for layer in layers}


def _convert_beside(
    weights: Mapping[str, Tensor],
    empty_model: Module,
    shapes: Mapping[str, torch.Size],
    converter: HuggingFaceConverter,
    model_config: object,
) -> dict[str, Tensor]:
    """What is trained itself, by the names and in the layout of transformers."""
    trained = [
        name
        for name, parameter in empty_model.named_parameters(remove_duplicate=False)
        if parameter.requires_grad and LORA_KEY.fullmatch(name) is None
    ]

    if not trained:
        return {}

    def convert(values: Mapping[str, Tensor]) -> dict[str, Any]:
        state: dict[str, object] = _filled(shapes, torch.zeros(()))

        return converter.to_hg_state_dict({**state, **values}, model_config)

    unknown = torch.tensor(torch.nan)

    marked = convert({name: unknown.expand(shapes[name]) for name in trained})

    values = convert(_with_tied(weights, empty_model, trained))

    return {key: values[key] for key, value in marked.items() if value.isnan().any()}


def _with_tied(
    weights: Mapping[str, Tensor], empty_model: Module, names: Sequence[str]
) -> dict[str, Tensor]:
    """The weights with these names; of those that share one, a checkpoint has but the first."""
    parameters = dict(empty_model.named_parameters(remove_duplicate=False))

    present = {id(parameters[name]): weights[name] for name in names if name in weights}

    return {name: present[id(parameters[name])] for name in names}


def _filled(shapes: Mapping[str, torch.Size], value: Tensor) -> dict[str, Any]:
    return {key: value.expand(shape) for key, shape in shapes.items()}


def empty_hugging_face_model(converter: HuggingFaceConverter, model_config: object) -> Any:
    """The model of transformers that ``converter`` converts to, on the meta device."""
    import transformers

    config = converter.to_hg_config(model_config)

    with torch.device("meta"):
        return getattr(transformers, str(config.arch))(
            getattr(transformers, config.kls_name)(**config.data)
        )


def _tied_names(model: Module, names: Mapping[str, Tensor]) -> dict[str, str]:
    """All the names of the parameters with these names, each with the one of ``names``."""
    everywhere = list(model.named_parameters(remove_duplicate=False))

    identities = {id(parameter): name for name, parameter in everywhere if name in names}

    return {
        name: identities[id(parameter)]
        for name, parameter in everywhere
        if id(parameter) in identities
    }


def _adapter_state(
    weights: Mapping[str, Tensor], places: Mapping[str, _Place]
) -> dict[str, Tensor]:
    state = {}

    for key, value in weights.items():
        match = LORA_KEY.fullmatch(key)

        if match is None or match["part"] == "base_layer":
            continue

        place = places[match["layer"]]

        # Only A has nothing to do with what comes out of the layer.
        rows = value if match["part"].startswith("lora_A") else value[place.rows]

        state[f"{place.layer}.{match['part']}.{match['parameter']}"] = rows.float().contiguous()

    return state
