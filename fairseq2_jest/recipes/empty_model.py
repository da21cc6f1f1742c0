"""Models without weights, for what can be said of a model before it is loaded."""

from __future__ import annotations

import torch
from fairseq2.device import CPU
from fairseq2.gang import create_fake_gangs
from fairseq2.models import ModelFamily
from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.config import ModelSection, ReferenceModelSection
from fairseq2.recipe.internal.asset_config import _AssetConfigOverrider
from torch.nn import Module

from fairseq2_jest.recipes.model_kinds import model_family


def open_empty_model(
    context: RecipeContext, section: ModelSection | ReferenceModelSection, name: str = "model"
) -> Module | None:
    """The model that a section of the config names, on the meta device.

    :param name: What the section is called.

    :return: ``None`` where models of its family cannot be empty.
    """
    resolver = context.resolver

    family = resolver.maybe_resolve(ModelFamily, key=model_family(context, section))

    if family is None or not family.supports_meta:
        return None

    config: object

    if section.path is None and section.name is not None:
        config = family.get_model_config(context.asset_store.retrieve_card(section.name))
    elif section.arch is not None:
        config = family.maybe_get_arch_config(section.arch)
    else:
        config = family.config_kls()

    # What is wrong with the names, fairseq2 says when it loads the model.
    if config is None:
        return None

    config = resolver.resolve(_AssetConfigOverrider).apply_overrides(
        name, config, section.config_overrides
    )

    return create_empty_model(family, config)


def create_empty_model(family: ModelFamily, config: object) -> Module:
    """A model on the meta device: names and shapes, and no memory."""
    return family.create_new_model(
        config, create_fake_gangs(CPU), torch.float32, meta=True, init_rank0_only=True
    )
