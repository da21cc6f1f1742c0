"""Checking the names of models, tokenizers and data sets before a run starts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

from fairseq2.assets import AssetCardError, AssetMetadataError, AssetStore
from fairseq2.data.tokenizers import TokenizerFamily
from fairseq2.datasets import DatasetFamily
from fairseq2.models import ModelFamily
from fairseq2.recipe.config import (
    DatasetSection,
    ModelSection,
    ReferenceModelSection,
    TokenizerSection,
)
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.typing import is_dataclass_instance

from fairseq2_jest.cli.near import did_you_mean
from fairseq2_jest.cli.usage import UsageError

_KINDS: dict[type[Any], tuple[str, type[Any]]] = {
    ModelSection: ("model", ModelFamily),
    ReferenceModelSection: ("model", ModelFamily),
    DatasetSection: ("dataset", DatasetFamily),
    TokenizerSection: ("tokenizer", TokenizerFamily),
}


def check_asset_names(config: object, resolver: DependencyResolver, path: str = "") -> None:
    """Check every asset name, family and architecture in a structured config.

    :raises UsageError: At the first unknown one; the message has its path and the near names.
    """
    for section_kls, (kind, family_kls) in _KINDS.items():
        if isinstance(config, section_kls):
            _check_section(config, kind, family_kls, resolver, path)

    if is_dataclass_instance(config):
        for field in fields(config):
            child = f"{path}.{field.name}" if path else field.name

            check_asset_names(getattr(config, field.name), resolver, child)


def _check_section(
    section: Any, kind: str, family_kls: type[Any], resolver: DependencyResolver, path: str
) -> None:
    # The order in which fairseq2 looks at them: a path needs a family, a name makes it moot.
    if getattr(section, "path", None) is None and section.name is not None:
        _check_card(section.name, kind, resolver, path)
    elif section.family is not None:
        known = [str(k) for k in resolver.iter_keys(family_kls)]

        if section.family not in known:
            tail = did_you_mean(section.family, known)

            raise UsageError(
                f"{path}.family is {section.family}, which is not a known {kind} family{tail}"
            )

        arch = getattr(section, "arch", None)

        if arch is not None:
            archs = resolver.resolve(family_kls, key=section.family).get_archs()

            if arch not in archs:
                tail = did_you_mean(arch, archs)

                raise UsageError(
                    f"{path}.arch is {arch}, which {section.family} does not have{tail}"
                )


def _check_card(name: str, kind: str, resolver: DependencyResolver, path: str) -> None:
    try:
        store = resolver.resolve(AssetStore)

        card = store.maybe_retrieve_card(name)
    except AssetMetadataError as ex:
        raise UsageError(f"The asset cards of {ex.source} cannot be used: {ex}") from ex
    except AssetCardError as ex:
        raise UsageError(f"{path}.name is {name}, but its asset card has a fault: {ex}") from ex

    if card is None or not card.has_field(f"{kind}_family"):
        tail = did_you_mean(name, _iter_names(store, kind))

        raise UsageError(f"{path}.name is {name}, which is not a known {kind}{tail}")


def _iter_names(store: AssetStore, kind: str) -> Iterator[str]:
    # A name may carry its environment; users leave that out.
    for name in {n.split("@", maxsplit=1)[0] for n in store.asset_names}:
        try:
            card = store.maybe_retrieve_card(name)
        except AssetCardError:
            # Some of fairseq2's own cards rest on others that do not exist.
            continue

        if card is not None and card.has_field(f"{kind}_family"):
            yield name
