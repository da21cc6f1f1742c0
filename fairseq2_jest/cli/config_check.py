"""Holding a merged config against the dataclasses it will become.

fairseq2 finds the same faults, but shows each as a chain of tracebacks. Here the first one is
told by the path of its field and, for a name, the near ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import torch
from fairseq2.recipe.component import ComponentManager, _ComponentEntry
from fairseq2.recipe.config import SupportsStructure
from fairseq2.runtime.dependency import (
    DependencyCollectionResolver,
    DependencyResolver,
)
from fairseq2.utils.structured import StructureError, ValueConverter
from typing_extensions import override

from fairseq2_jest.cli.near import did_you_mean
from fairseq2_jest.cli.usage import UsageError

T = TypeVar("T")


class ConfigChecker:
    """Checks unstructured values (what YAML gives) against type expressions."""

    def __init__(self, resolver: DependencyResolver) -> None:
        self._resolver = resolver
        self._converter = resolver.resolve(ValueConverter)

    def check(self, value: object, target: object, path: str = "") -> None:
        """Check ``value``, found at ``path``, against the type expression ``target``.

        :raises UsageError: At the first unknown key or value of a wrong type.
        """
        origin, args = get_origin(target), get_args(target)

        if target is object or target is Any:
            return

        if origin in (Union, UnionType):
            self._check_union(value, target, args, path)
        elif isinstance(target, type) and is_dataclass(target):
            self._check_dataclass(value, target, path)
        elif origin is Literal:
            if value not in args:
                raise UsageError(f"{path} is {value!r}{_choices(value, args)}")
        elif isinstance(target, type) and issubclass(target, Enum):
            names = [m.name for m in target]

            if value not in names:
                raise UsageError(f"{path} is {value!r}{_choices(value, names)}")
        elif origin in (dict, Mapping):
            if not isinstance(value, Mapping):
                raise _wrong_type(value, target, path)

            for key, element in value.items():
                self.check(element, args[1], _join(path, str(key)))
        elif origin in (list, tuple, set, Sequence, Set):
            self._check_sequence(value, target, args, path)
        else:
            self._check_scalar(value, target, path)

    def _check_union(
        self, value: object, target: object, args: tuple[object, ...], path: str
    ) -> None:
        if value is None and NoneType in args:
            return

        members = [a for a in args if a is not NoneType]

        if len(members) == 1:
            self.check(value, members[0], path)

            return

        for member in members:
            try:
                self.check(value, member, path)
            except UsageError:
                continue

            return

        raise _wrong_type(value, target, path)

    def _check_dataclass(self, value: object, target: type[Any], path: str) -> None:
        if not isinstance(value, Mapping):
            raise _wrong_type(value, target, path)

        hints = get_type_hints(target)

        known = [f.name for f in fields(target)]

        for key in value:
            if key not in known:
                full = _join(path, str(key))

                raise UsageError(f"{full} is not a known config key{did_you_mean(str(key), known)}")

        for key, element in value.items():
            self.check(element, hints[key], _join(path, str(key)))

        if issubclass(target, SupportsStructure):
            self._check_component(value, target, path)

    def _check_component(self, value: Mapping[str, object], target: type[Any], path: str) -> None:
        try:
            section = self._converter.structure(value, target)
        except StructureError:
            # A field without a default is missing; a later layer may give it.
            return

        section.structure(_CheckingResolver(self, self._resolver, section, path))

    def _check_sequence(
        self, value: object, target: object, args: tuple[Any, ...], path: str
    ) -> None:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _wrong_type(value, target, path)

        if get_origin(target) is tuple and args[-1] is not Ellipsis:
            if len(value) != len(args):
                raise UsageError(f"{path} must have {len(args)} elements, but has {len(value)}.")
        else:
            args = args[:1] * len(value)

        for idx, (element, arg) in enumerate(zip(value, args, strict=True)):
            self.check(element, arg, f"{path}[{idx}]")

    def _check_scalar(self, value: object, target: object, path: str) -> None:
        if target in (int, float) and isinstance(value, bool):
            raise _wrong_type(value, target, path)

        # fairseq2 would cut the fraction off without a word.
        if target is int and isinstance(value, float) and not value.is_integer():
            raise _wrong_type(value, target, path)

        try:
            self._converter.structure(value, target)
        except StructureError:
            raise _wrong_type(value, target, path) from None

    def structure_component(self, kls: type[object], name: str, config: object, path: str) -> Any:
        """Check the ``config`` of the component ``name`` of type ``kls``, and structure it.

        :raises UsageError: Also if no component of this type has the name.
        """
        keys = list(self._resolver.iter_keys(_ComponentEntry))

        known = [k[1] for k in keys if isinstance(k, tuple) and k[0] is kls]

        if name not in known:
            raise UsageError(f"{path}.name is {name!r}{_choices(name, known)}")

        entry = self._resolver.resolve(_ComponentEntry, key=(kls, name))

        config_path = _join(path, "config")

        self.check(config, entry.config_kls, config_path)

        try:
            return self._converter.structure(config, entry.config_kls)
        except StructureError as ex:
            raise UsageError(f"{config_path} is not complete: {innermost(ex)}") from ex


class _CheckingComponents(ComponentManager):
    """Stands in for fairseq2's manager while a section structures its component's config."""

    def __init__(self, checker: ConfigChecker, path: str) -> None:
        self._checker = checker
        self._path = path

    @override
    def create_component(self, kls: type[T], name: str, config: object) -> T:
        raise NotImplementedError("Components are not created while a config is checked.")

    @override
    def structure_component_config(
        self, kls: type[object], name: str, unstructured_config: object
    ) -> object:
        return self._checker.structure_component(kls, name, unstructured_config, self._path)


class _CheckingResolver(DependencyResolver):
    """The container's resolver, but for the component manager."""

    def __init__(
        self, checker: ConfigChecker, inner: DependencyResolver, section: object, path: str
    ) -> None:
        self._components = _CheckingComponents(checker, path)
        self._inner = inner

    @override
    def resolve(self, kls: type[T], *, key: Any = None) -> T:
        if kls is ComponentManager:
            return cast(T, self._components)

        return self._inner.resolve(kls, key=key)

    @override
    def maybe_resolve(self, kls: type[T], *, key: Any = None) -> T | None:
        if kls is ComponentManager:
            return cast(T, self._components)

        return self._inner.maybe_resolve(kls, key=key)

    @override
    def iter_keys(self, kls: type[T]) -> Iterator[Any]:
        return self._inner.iter_keys(kls)

    @property
    @override
    def collection(self) -> DependencyCollectionResolver:
        return self._inner.collection


def innermost(ex: BaseException) -> str:
    """The message at the root of a chain of errors."""
    while ex.__cause__ is not None:
        ex = ex.__cause__

    return str(ex)


_WORDS: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text (quote it if YAML reads it as something else)",
    Path: "a path",
    torch.dtype: "a torch dtype such as float32",
    torch.device: "a device such as cpu or cuda:0",
    NoneType: "null",
}


def _describe(target: object) -> str:
    origin, args = get_origin(target), get_args(target)

    if target in _WORDS:
        return _WORDS[target]

    if origin is Literal:
        return " or ".join(str(a) for a in args)

    if origin in (Union, UnionType):
        return " or ".join(_describe(a) for a in args)

    if isinstance(target, type) and is_dataclass(target):
        return f"a mapping with keys {', '.join(f.name for f in fields(target))}"

    if origin in (dict, Mapping):
        return "a mapping"

    return "a list" if origin is not None else str(target)


def _wrong_type(value: object, target: object, path: str) -> UsageError:
    return UsageError(f"{path} must be {_describe(target)}, but is {value!r}.")


def _choices(value: object, known: Sequence[object]) -> str:
    return f", which is not known{did_you_mean(str(value), [str(k) for k in known])}"


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
