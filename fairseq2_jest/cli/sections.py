"""The sections of a config that name an asset: models, tokenizers and data sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from fairseq2.assets import AssetCard, AssetStore
from fairseq2.data.tokenizers import TokenizerFamily, resolve_tokenizer_reference
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


@dataclass(frozen=True, kw_only=True)
class AssetSection:
    """One such section, and where it stands."""

    path: str
    """Its path in the config, such as ``model``."""

    kind: str
    """``model``, ``tokenizer`` or ``dataset``."""

    family_kls: type[Any]
    """fairseq2's class of families of this kind."""

    section: Any
    """The section itself."""

    @property
    def names_card(self) -> bool:
        """Whether fairseq2 will look at ``name``: a ``path`` comes first, a ``family`` last."""
        return getattr(self.section, "path", None) is None and self.section.name is not None

    def card(self, resolver: DependencyResolver) -> AssetCard | None:
        """The asset card that is named, ``None`` where there is no such card.

        :raises AssetCardError: It has a fault.
        """
        store = resolver.resolve(AssetStore)

        card = store.maybe_retrieve_card(self.section.name)

        if card is not None and self.kind == "tokenizer":
            return resolve_tokenizer_reference(store, card)

        return card


_KINDS: dict[type[Any], tuple[str, type[Any]]] = {
    ModelSection: ("model", ModelFamily),
    ReferenceModelSection: ("model", ModelFamily),
    DatasetSection: ("dataset", DatasetFamily),
    TokenizerSection: ("tokenizer", TokenizerFamily),
}


def iter_asset_sections(config: object, path: str = "") -> Iterator[AssetSection]:
    """Yield the sections anywhere in a structured config, in its order."""
    for section_kls, (kind, family_kls) in _KINDS.items():
        if isinstance(config, section_kls):
            yield AssetSection(path=path, kind=kind, family_kls=family_kls, section=config)

    if is_dataclass_instance(config):
        for field in fields(config):
            child = f"{path}.{field.name}" if path else field.name

            yield from iter_asset_sections(getattr(config, field.name), child)
