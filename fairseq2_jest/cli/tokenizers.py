"""The tokenizer of a model that somebody names without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fairseq2.assets import AssetStore
from fairseq2.data.tokenizers import resolve_tokenizer_reference
from fairseq2.recipe.config import ModelSection, ReferenceModelSection, TokenizerSection
from fairseq2.runtime.dependency import DependencyResolver

_NOT_NAMED: Final = "\0not named"


def names_model_only(before: object, layer: object, merge: Any) -> bool | None:
    """Whether a layer of a config names another model and leaves the tokenizer as it is.

    :param before: The config that the layer is laid over.
    :param merge: Lays a layer over a config.
    :return: ``None`` where it leaves the model, too.
    """
    if (
        not isinstance(before, Mapping)
        or not isinstance(before.get("model"), Mapping)
        or _name(before, "tokenizer") is None
    ):
        return None

    # Instead of finding the ways to write the same, see if what was there is gone.
    after = merge({**before, "tokenizer": {**before["tokenizer"], "name": _NOT_NAMED}}, layer)

    if _name(after, "tokenizer") != _NOT_NAMED or after["tokenizer"].get("path") is not None:
        return False

    return True if _name(after, "model") != _name(before, "model") else None


def follow_model(config: Any, resolver: DependencyResolver) -> None:
    """Sets the tokenizer of a structured config to the one of its model, if the card has one."""
    model, tokenizer = config.model, config.tokenizer

    assert isinstance(model, (ModelSection, ReferenceModelSection))
    assert isinstance(tokenizer, TokenizerSection)

    store = resolver.resolve(AssetStore)

    own = None if model.name is None else store.maybe_retrieve_card(model.name)

    if own is None or model.path is not None:
        return

    own = resolve_tokenizer_reference(store, own)

    if not own.has_field("tokenizer_family"):
        return

    set_before = None if tokenizer.name is None else store.maybe_retrieve_card(tokenizer.name)

    # The cards of one family share a tokenizer, and the name that was there says so best.
    if (
        set_before is None
        or not set_before.has_field("tokenizer")
        or not own.has_field("tokenizer")
        or set_before.field("tokenizer").value != own.field("tokenizer").value
    ):
        tokenizer.name = own.name


def _name(config: object, section: str) -> object:
    if not isinstance(config, Mapping) or not isinstance(config.get(section), Mapping):
        return None

    return config[section].get("name")
