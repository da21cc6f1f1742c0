"""Checking what a config says about its models, tokenizers and data sets, beside their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fairseq2.assets import AssetCardError
from fairseq2.file_system import FileSystem
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.config import ConfigDirectiveError, ConfigMerger, ConfigProcessor
from fairseq2.utils.structured import StructureError, ValueConverter
from fairseq2.utils.validation import ObjectValidator, ValidationError

from fairseq2_jest.cli.config_check import ConfigChecker, innermost
from fairseq2_jest.cli.near import near_names
from fairseq2_jest.cli.sections import AssetSection, iter_asset_sections
from fairseq2_jest.cli.usage import UsageError


def check_config_overrides(config: object, resolver: DependencyResolver) -> None:
    """Check every ``config_overrides`` against the config of the asset that it overrides.

    :raises UsageError: At the first unknown key or wrong value.
    """
    for asset in iter_asset_sections(config):
        if asset.section.config_overrides is not None:
            _check_overrides(asset, resolver)


def check_paths(config: object, resolver: DependencyResolver) -> None:
    """Check that every ``path`` of a model or a tokenizer exists.

    :raises UsageError: At the first one that does not; the message has the near names.
    """
    for asset in iter_asset_sections(config):
        path = getattr(asset.section, "path", None)

        if path is not None:
            _check_path(path, f"{asset.path}.path", resolver)


def _check_overrides(asset: AssetSection, resolver: DependencyResolver) -> None:
    field = f"{asset.path}.config_overrides"

    base = _base_config(asset, resolver)

    converter = resolver.resolve(ValueConverter)

    try:
        # As fairseq2 does it, for which any fault is a chain of tracebacks.
        merged = resolver.resolve(ConfigMerger).merge(
            converter.unstructure(base), asset.section.config_overrides
        )

        merged = resolver.resolve(ConfigProcessor).process(merged)
    except (TypeError, ValueError, ConfigDirectiveError) as ex:
        raise UsageError(f"{field} cannot be used: {ex}") from ex

    ConfigChecker(resolver).check(merged, type(base), field)

    try:
        structured = converter.structure(merged, type(base))
    except StructureError as ex:
        raise UsageError(f"{field} is not complete: {innermost(ex)}") from ex

    try:
        resolver.resolve(ObjectValidator).validate(structured)
    except ValidationError as ex:
        raise UsageError(str(ValidationError(ex.result, field=field))) from ex


def _base_config(asset: AssetSection, resolver: DependencyResolver) -> Any:
    section = asset.section

    card = None

    try:
        if asset.names_card:
            card = asset.card(resolver)

        if card is None:
            family = resolver.resolve(asset.family_kls, key=section.family)

            arch = getattr(section, "arch", None)

            return family.config_kls() if arch is None else family.maybe_get_arch_config(arch)

        name = card.field(f"{asset.kind}_family").as_(str)

        family = resolver.maybe_resolve(asset.family_kls, key=name)

        if family is None:
            raise UsageError(
                f"{asset.path}.name is {section.name}, of the {asset.kind} family {name}, which "
                "nothing here registers; install what does."
            )

        return getattr(family, f"get_{asset.kind}_config")(card)
    except AssetCardError as ex:
        raise UsageError(
            f"{asset.path}.name is {section.name}, but its asset card has a fault: {innermost(ex)}"
        ) from ex


def _check_path(path: Path, field: str, resolver: DependencyResolver) -> None:
    try:
        if resolver.resolve(FileSystem).exists(path):
            return

        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError as ex:
        raise UsageError(f"{field} is {path}, which cannot be read: {ex.strerror}.") from ex

    if near := near_names(path.name, beside):
        mend = f"did you mean {' or '.join(str(path.parent / name) for name in near)}?"
    else:
        mend = f"mend the path (relative paths start from {Path.cwd()})."

    raise UsageError(f"{field} is {path}, which does not exist; {mend}")
