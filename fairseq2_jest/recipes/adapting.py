"""Attaching the adapter that a recipe's config names, for any recipe's ``setup_model``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairseq2.logging import log
from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.component import ComponentManager
from fairseq2.recipe.config import AdamWConfig, ModelSection, OptimizerSection
from fairseq2.utils.structured import ValueConverter
from torch.nn import Module

from fairseq2_jest.adapters.adapter import NO_ADAPTER, Adapter
from fairseq2_jest.adapters.checkpoint import AdapterRecord, read_record, write_record
from fairseq2_jest.adapters.errors import AdapterError
from fairseq2_jest.adapters.size import TrainedSize
from fairseq2_jest.recipes.checkpoint_card import checkpoint_dir
from fairseq2_jest.recipes.model_kinds import model_family
from fairseq2_jest.recipes.sections import AdapterSection
from fairseq2_jest.report.units import format_bytes


def attach_adapter(
    context: RecipeContext,
    model: Module,
    section: AdapterSection,
    *,
    model_section: ModelSection,
    optimizer: OptimizerSection,
    seed: int,
) -> None:
    """Attaches the adapter in place, says what is trained, and writes it down for the checkpoints.

    :param model: The bare model, not yet wrapped for data parallelism.
    :param model_section: Where it comes from.
    :param optimizer: What will train it.
    :param seed: Decides how the adapter begins.

    :raises AdapterError: It does not fit the model, or the run was begun with another.
    """
    manager, gang = context.get_checkpoint_manager(), context.gangs.root

    checkpoints = checkpoint_dir(context)

    record = _record(section, context)

    if manager.has_checkpoint():
        _check_same(read_record(checkpoints), record, context.output_dir)

    # No rank may write before all have looked.
    gang.barrier()

    if gang.rank == 0:
        write_record(checkpoints, record, context.resolver)

    gang.barrier()

    if record is None:
        return

    adapter = _create_adapter(context, section)

    adapter.attach(model, family=model_family(context, model_section), seed=seed)

    _log_size(TrainedSize.of(model), section.name, optimizer)


def _create_adapter(context: RecipeContext, section: AdapterSection) -> Adapter:
    components = context.resolver.resolve(ComponentManager)

    return components.create_component(Adapter, section.name, section.config)


def _record(section: AdapterSection, context: RecipeContext) -> AdapterRecord | None:
    if section.name == NO_ADAPTER:
        return None

    config: Any = context.resolver.resolve(ValueConverter).unstructure(section.config)

    return AdapterRecord(name=section.name, config=config)


def _check_same(
    saved: AdapterRecord | None, record: AdapterRecord | None, output_dir: Path
) -> None:
    if saved != record:
        raise AdapterError(
            f"The run in {output_dir} was begun with the adapter {saved or NO_ADAPTER}, and cannot "
            f"go on with {record or NO_ADAPTER}; go back to it, or give another output directory."
        )


def _describe(size: TrainedSize, name: str) -> str:
    return (
        f"{name}: {size.num_trained:,} of {size.num_parameters:,} parameters are trained, "
        f"{size.num_trained / size.num_parameters:.2%}"
    )


def _log_size(size: TrainedSize, name: str, optimizer: OptimizerSection) -> None:
    log.info("Adapter {}.", _describe(size, name))

    # AdamW keeps two averages of each gradient, or three, and as exactly as the weight.
    if isinstance(optimizer.config, AdamWConfig):
        kept, factor = "gradients and AdamW's state", 4 if optimizer.config.amsgrad else 3
    else:
        kept, factor = "gradients", 1

    log.info(
        "The weights take {}; {} take {}, and without the adapter {}.",
        format_bytes(size.num_bytes),
        kept,
        format_bytes(factor * size.num_bytes_trained),
        format_bytes(factor * size.num_bytes),
    )


def check_adapter(
    context: RecipeContext, model: Module, section: AdapterSection, *, model_section: ModelSection
) -> str | None:
    """Attaches the adapter in place to an empty model, and describes it.

    :param model: A model on the meta device.
    :param model_section: Where it comes from.

    :return: ``None`` where there is no adapter.

    :raises AdapterError: It does not fit the model.
    """
    if section.name == NO_ADAPTER:
        return None

    adapter = _create_adapter(context, section)

    adapter.attach(model, family=model_family(context, model_section), seed=0)

    return _describe(TrainedSize.of(model), section.name)
