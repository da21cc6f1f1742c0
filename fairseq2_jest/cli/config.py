"""The final config of a command: class defaults < preset < config file < overrides."""

from __future__ import annotations

from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from fairseq2.composition import _register_library
from fairseq2.datasets import DatasetFamily
from fairseq2.recipe.base import Recipe
from fairseq2.recipe.config import CommonSection
from fairseq2.recipe.internal.config import (
    _is_train_config,
    _RecipeConfigHolder,
    _RecipeConfigStructurer,
    _StandardRecipeConfigStructurer,
)
from fairseq2.recipe.run import _swap_default_resolver
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver
from fairseq2.utils.argparse import ConfigAction
from fairseq2.utils.config import ConfigMerger, ConfigProcessor
from fairseq2.utils.structured import StructureError, ValueConverter
from fairseq2.utils.validation import ObjectValidator, ValidationError
from fairseq2.utils.yaml import YamlLoader

from fairseq2_jest.cli.assets import check_config_overrides
from fairseq2_jest.cli.config_check import ConfigChecker, innermost
from fairseq2_jest.cli.layers import lay_over, read_layer
from fairseq2_jest.cli.names import check_asset_names
from fairseq2_jest.cli.tokenizers import follow_model, names_model_only
from fairseq2_jest.cli.usage import UsageError


@dataclass(frozen=True, kw_only=True)
class ConfigSources:
    """Where a config comes from, besides the defaults of its class."""

    preset: Path | None = None
    """The YAML file of the preset."""

    files: Sequence[Path] = ()
    """The user's YAML files, each laid over those before it."""

    overrides: Sequence[Sequence[str]] = ()
    """The ``NAME=VALUE`` items of each ``--config``, in order."""


@runtime_checkable
class SupportsCompletion(Protocol):
    """A config that fills sections in by what others name, once all its layers are there."""

    def complete(self, resolver: DependencyResolver) -> None:
        """
        :raises UsageError: What is named cannot be used.
        """


@contextmanager
def load_config(
    recipe: Recipe, sources: ConfigSources
) -> Iterator[tuple[object, DependencyResolver]]:
    """Build and check the config of ``recipe``.

    Yields the config, of type ``recipe.config_kls``, and a resolver of fairseq2's library and the
    recipe's registrations, which is fairseq2's default one inside the context.

    :raises UsageError: If any layer has a fault; the message names its field and its source.
    """
    from fairseq2.recipe.composition import _register_inference_recipe, _register_train_recipe

    container = DependencyContainer()

    with _swap_default_resolver(container):
        _register_library(container, no_progress=True)

        if _is_train_config(recipe.config_kls):
            _register_train_recipe(container, recipe)
        else:
            _register_inference_recipe(container, recipe)

        container.register_type(_RecipeConfigStructurer, _StandardRecipeConfigStructurer)

        loaded: list[object] = []

        # Asset sources named in the config are found through the holder.
        container.register(_RecipeConfigHolder, lambda resolver: _RecipeConfigHolder(loaded[0]))

        _check_extension(container)

        config, lacks_tokenizer = _load(container, recipe.config_kls, sources)

        if isinstance(config, SupportsCompletion):
            config.complete(container)

        loaded.append(config)

        _check_seed(config)

        check_asset_names(config, container)

        if lacks_tokenizer:
            follow_model(config, container)

        check_config_overrides(config, container)

        yield config, container


def _check_seed(config: object) -> None:
    # fairseq2 finds out in the run, by a traceback.
    common = getattr(config, "common", None)

    if isinstance(common, CommonSection) and not 0 <= common.seed < 2**32:
        raise UsageError(f"`common.seed` must be in [0, 2**32), but is {common.seed}.")


def _check_extension(resolver: DependencyResolver) -> None:
    if "parallel_text" not in resolver.iter_keys(DatasetFamily):
        raise UsageError(
            "the fairseq2 extension of fairseq2_jest did not load; "
            "set FAIRSEQ2_EXTENSION_TRACE=1 to see why."
        )


def _load(
    resolver: DependencyResolver, config_kls: type[Any], sources: ConfigSources
) -> tuple[object, bool]:
    """Returns the config, and whether its model was named without a tokenizer."""
    merger = resolver.resolve(ConfigMerger)

    checker = ConfigChecker(resolver)

    config = resolver.resolve(ValueConverter).unstructure(config_kls())

    lacks_tokenizer = False

    for source, layer in _iter_layers(resolver, sources):
        try:
            model_only = names_model_only(config, layer, lambda b, x: lay_over(b, x, merger))

            lacks_tokenizer = lacks_tokenizer if model_only is None else model_only

            config = lay_over(config, layer, merger)

            checker.check(config, config_kls)
        except UsageError as ex:
            raise UsageError(f"{source}: {ex}") from ex

    structurer = resolver.resolve(_RecipeConfigStructurer)

    try:
        structured = structurer.structure(config_kls, config)
    except StructureError as ex:
        raise UsageError(f"The config is not complete: {innermost(ex)}") from ex

    try:
        resolver.resolve(ObjectValidator).validate(structured)
    except ValidationError as ex:
        raise UsageError(str(ex)) from ex

    return structured, lacks_tokenizer


def _iter_layers(
    resolver: DependencyResolver, sources: ConfigSources
) -> Iterator[tuple[str, object]]:
    yaml_loader, processor = resolver.resolve(YamlLoader), resolver.resolve(ConfigProcessor)

    if sources.preset is not None:
        layer = read_layer(sources.preset, yaml_loader, processor)

        yield f"preset {sources.preset.stem}", layer

    for file in sources.files:
        yield str(file), read_layer(file, yaml_loader, processor)

    for items in sources.overrides:
        for group in _ordered(items):
            yield "--config", _parse_overrides(group)


def _ordered(items: Sequence[str]) -> Iterator[Sequence[str]]:
    """Splits items where one reaches into what one before it sets whole.

    Of one layer, fairseq2 sets what lies deeper first, so that it would be lost.
    """
    group: list[str] = []
    paths: list[str] = []

    for item in items:
        path = item.partition("=")[0].strip().removeprefix("set:").removeprefix("del:")

        if any(path == earlier or path.startswith(f"{earlier}.") for earlier in paths):
            yield group

            group, paths = [], []

        group.append(item)
        paths.append(path)

    yield group


def _parse_overrides(items: Sequence[str]) -> object:
    action = ConfigAction(["--config"], dest="overrides")

    namespace = Namespace()

    try:
        action(ArgumentParser(), namespace, list(items))
    except ArgumentError as ex:
        raise UsageError(f"{ex}.") from ex

    layer: object = namespace.overrides[0]

    return layer


def with_defaults(config: Any) -> type[Any]:
    """Return a subclass of the dataclass of ``config`` whose defaults are its values.

    Handed to fairseq2 as the class of a recipe's config, it makes an already loaded config what
    fairseq2 begins with.
    """
    kls = type(config)

    if not is_dataclass(kls):
        raise TypeError(f"`config` must be a dataclass, but is of type `{kls}` instead.")

    def init(self: Any, **values: Any) -> None:
        given = {f.name: getattr(config, f.name) for f in fields(kls) if f.init}

        kls.__init__(self, **(given | values))

    return type(kls.__name__, (kls,), {"__init__": init, "__module__": kls.__module__})
