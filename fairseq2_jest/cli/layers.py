"""Laying presets, files and overrides over a recipe's defaults.

The merging is fairseq2's; this adds what it leaves out. A component is a ``name`` and the
``config`` of what has that name: once a layer gives another name, the config that belonged to the
old one must go, or the new component is handed keys it does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fairseq2.utils.config import (
    ConfigDirectiveError,
    ConfigMerger,
    ConfigProcessor,
    ReplacePathDirective,
)
from fairseq2.utils.yaml import YamlError, YamlLoader

from fairseq2_jest.cli.usage import UsageError


def read_layer(file: Path, yaml_loader: YamlLoader, processor: ConfigProcessor) -> object:
    """Read a YAML config; ``${dir}`` is its folder, ``${env:NAME}`` an environment variable.

    :raises UsageError: If there is no such file, or it does not hold one mapping.
    """
    if not file.is_file():
        raise UsageError(f"{file} does not exist or is not a file.")

    try:
        documents = yaml_loader.load(file.resolve())
    except YamlError as ex:
        raise UsageError(f"{file} is not valid YAML: {_yaml_problem(ex)}.") from ex
    except (OSError, UnicodeDecodeError) as ex:
        raise UsageError(f"{file} cannot be read: {ex}.") from ex

    if len(documents) != 1 or not isinstance(documents[0], Mapping):
        raise UsageError(f"{file} must hold one YAML mapping of config keys.")

    try:
        return processor.process(documents[0], [ReplacePathDirective(file.resolve().parent)])
    except ConfigDirectiveError as ex:
        raise UsageError(f"A directive in {file} cannot be processed: {ex}") from ex


def lay_over(base: object, layer: object, merger: ConfigMerger) -> object:
    """Return ``base`` overridden by ``layer``, with the ``config`` of renamed components reset.

    :raises UsageError: If the layer is not formed as fairseq2's merger wants it.
    """
    try:
        return merger.merge(_without_stale_configs(base, layer), layer)
    except (TypeError, ValueError) as ex:
        raise UsageError(str(ex)) from ex


def _without_stale_configs(base: object, layer: object) -> object:
    if not isinstance(base, Mapping) or not isinstance(layer, Mapping):
        return base

    output = dict(base)

    given = dict(layer)

    if isinstance(set_keys := layer.get("_set_"), Mapping):
        given.update(set_keys)

    is_component = "name" in base and base.get("config") is not None

    if is_component and given.get("name", base["name"]) != base["name"]:
        output["config"] = {}

    return {key: _without_stale_configs(value, given.get(key)) for key, value in output.items()}


def _yaml_problem(ex: YamlError) -> str:
    cause = ex.__cause__ or ex

    problem = getattr(cause, "problem", None)
    mark = getattr(cause, "problem_mark", None)

    if problem is None or mark is None:
        return " ".join(str(cause).split())

    return f"{problem} (line {mark.line + 1}, column {mark.column + 1})"
