"""Checking the names of models, tokenizers and data sets before a run starts."""

from __future__ import annotations

from collections.abc import Iterator

from fairseq2.assets import AssetCardError, AssetDownloadError, AssetMetadataError, AssetStore
from fairseq2.runtime.dependency import DependencyResolver

from fairseq2_jest.cli.near import did_you_mean
from fairseq2_jest.cli.sections import AssetSection, iter_asset_sections
from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.models.errors import ModelError


def check_asset_names(config: object, resolver: DependencyResolver) -> None:
    """Check every asset name, family and architecture in a structured config.

    :raises UsageError: At the first unknown one; the message has its path and the near names.
    """
    for asset in iter_asset_sections(config):
        if asset.names_card:
            _check_card(asset, resolver)
        elif asset.section.family is not None:
            _check_family(asset, resolver)


def _check_family(asset: AssetSection, resolver: DependencyResolver) -> None:
    family = asset.section.family

    known = [str(k) for k in resolver.iter_keys(asset.family_kls)]

    if family not in known:
        tail = did_you_mean(family, known)

        raise UsageError(
            f"{asset.path}.family is {family}, which is not a known {asset.kind} family{tail}"
        )

    arch = getattr(asset.section, "arch", None)

    if arch is not None:
        archs = resolver.resolve(asset.family_kls, key=family).get_archs()

        if arch not in archs:
            tail = did_you_mean(arch, archs)

            raise UsageError(f"{asset.path}.arch is {arch}, which {family} does not have{tail}")


def _check_card(asset: AssetSection, resolver: DependencyResolver) -> None:
    name, kind = asset.section.name, asset.kind

    try:
        store = resolver.resolve(AssetStore)

        card = asset.card(resolver)
    except (ModelError, AssetDownloadError) as ex:
        raise UsageError(f"{asset.path}.name is {name}, which cannot be used: {ex}") from ex
    except AssetMetadataError as ex:
        raise UsageError(f"The asset cards of {ex.source} cannot be used: {ex}") from ex
    except AssetCardError as ex:
        raise UsageError(
            f"{asset.path}.name is {name}, but its asset card has a fault: {ex}"
        ) from ex

    if card is None or not card.has_field(f"{kind}_family"):
        tail = did_you_mean(name, _iter_names(store, kind))

        raise UsageError(f"{asset.path}.name is {name}, which is not a known {kind}{tail}")


def _iter_names(store: AssetStore, kind: str) -> Iterator[str]:
    # A name may carry its environment; users leave that out.
    for name in {n.split("@", maxsplit=1)[0] for n in store.asset_names}:
        try:
            card = store.maybe_retrieve_card(name)
        except AssetCardError:
            # Some of fairseq2's own cards rest on others that do not exist.
            continue

        if card is not None and (card.has_field(f"{kind}_family") or card.has_field(f"{kind}_ref")):
            yield name
