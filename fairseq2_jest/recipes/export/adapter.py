"""Exporting the adapter of a run by itself, to a folder for peft."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairseq2.assets import AssetCard
from fairseq2.device import CPU
from fairseq2.gang import create_fake_gangs
from fairseq2.model_checkpoint import ModelCheckpointLoadOptions
from fairseq2.models import ModelFamily
from fairseq2.models.hg import wrap_hg_model_if_causal_lm
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.structured import StructureError, ValueConverter

from fairseq2_jest.adapters.checkpoint import ADAPTER_FILE, load_adapted, read_record
from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.adapters.lora import LoraAdapter
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.adapters.peft_folder import empty_hugging_face_model, save_peft_folder
from fairseq2_jest.models.hugging_face.causal import find_converter
from fairseq2_jest.recipes.empty_model import create_empty_model
from fairseq2_jest.recipes.export.card import base_model, hub_name


def export_adapter(
    card: AssetCard, folder: Path, settings: Mapping[str, Any], resolver: DependencyResolver
) -> None:
    """Writes the adapter of the checkpoint that ``card`` names.

    :param settings: The config of the run.

    :raises AdapterError: It has none, or one that peft does not know.
    """
    weights_folder = card.field("checkpoint").as_uri().to_path()

    config = _lora_config(weights_folder.parent.parent, resolver)

    family = resolver.resolve(ModelFamily, key=card.field("model_family").as_(str))

    model_config = family.get_model_config(card)

    converter = find_converter(family.name)

    if family.supports_meta:
        model = create_empty_model(family, model_config)
    else:
        # fairseq2 would load it.
        model = wrap_hg_model_if_causal_lm(
            empty_hugging_face_model(converter, model_config), model_config
        )

    LoraAdapter(config).attach(model, family=family.name, seed=0)

    options = ModelCheckpointLoadOptions(gangs=create_fake_gangs(CPU))

    save_peft_folder(
        folder,
        dict(load_adapted(weights_folder, options, resolver)),
        model,
        config,
        converter,
        model_config,
        base_model=hub_name(settings) or _folder(base_model(settings)),
    )


def _lora_config(checkpoints: Path, resolver: DependencyResolver) -> LoraConfig:
    record = read_record(checkpoints)

    if record is None:
        raise AdapterError(
            f"The checkpoints in {checkpoints} have no adapter; leave --adapter out."
        )

    if record.name != "lora":
        raise AdapterError(
            f"The adapter of the checkpoints in {checkpoints} is {record.name}, and only lora is "
            f"exported by itself; leave --adapter out."
        )

    try:
        config = resolver.resolve(ValueConverter).structure(dict(record.config), LoraConfig)
    except StructureError as ex:
        raise AdapterError(
            f"{checkpoints / ADAPTER_FILE} does not say which adapter the run has; restore it."
        ) from ex

    assert isinstance(config, LoraConfig)

    return config


def _folder(name: str) -> str | None:
    return name if Path(name).is_dir() else None
