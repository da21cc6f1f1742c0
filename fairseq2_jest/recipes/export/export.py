"""Exporting a run's checkpoint, or a model by its name, to a folder for transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import rmtree
from typing import Any

import torch
from fairseq2.assets import AssetCard, AssetDownloadManager, AssetStore
from fairseq2.composition import (
    _register_library,
    register_checkpoint_models,
    register_file_assets,
)
from fairseq2.data.tokenizers import Tokenizer, TokenizerFamily, resolve_tokenizer_reference
from fairseq2.device import CPU
from fairseq2.gang import create_fake_gangs
from fairseq2.models import ModelFamily
from fairseq2.models.hg import get_hugging_face_converter, save_hugging_face_model
from fairseq2.recipe.run import _swap_default_resolver
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.export import complete_export
from fairseq2_jest.recipes.export.card import write_card
from fairseq2_jest.report.runs import Run, find_folder, read_run

CARD = "README.md"


def export_run(path: Path, out: Path, *, step: str | None, checkpoint_dir: Path | None) -> int:
    """Exports a checkpoint of the run at ``path`` to the new folder ``out``, with a model card.

    :param step: ``best``, ``last`` or a number; the best if the run scores, else the last.
    :param checkpoint_dir: Where the checkpoints are, if not in the run's folder.
    :return: The number of the step.

    :raises ReportError: There is no run of ``mt finetune``.
    :raises ModelError: There is no such checkpoint, or it cannot be exported.
    """
    run = read_run(find_folder(path))

    checkpoints = checkpoint_dir or run.folder / "checkpoints"

    if not (checkpoints / "model.yaml").is_file():
        raise ModelError(f"{checkpoints} holds no checkpoints: name where they are.")

    with _library() as container:
        for extra in _extra_paths(run.config):
            register_file_assets(container, extra)

        register_checkpoint_models(container, checkpoints)

        card = _checkpoint(container.resolve(AssetStore), checkpoints, step)

        tokenizer, file = load_run_tokenizer(run.config, container)

        number = int(Path(card.field("checkpoint").as_(str)).parent.name.removeprefix("step_"))

        with _new_folder(out) as folder:
            _export_weights(card, folder, container)

            complete_export(folder, tokenizer, file, target_languages(run))

            write_card(folder / CARD, run, number)

    return number


def export_model(name: str, out: Path) -> None:
    """Exports the model with this name, and the tokenizer on its card, to the new folder ``out``.

    :raises ModelError: There is no such model, or it cannot be exported.
    """
    with _library() as container:
        card = container.resolve(AssetStore).maybe_retrieve_card(name)

        if card is None or not card.has_field("model_family"):
            raise ModelError(
                f"{name} is neither the folder of a run, nor a model by its card, folder or name "
                f"on the hub: mend the name."
            )

        tokenizer, file = _load_tokenizer(name, {}, container)

        with _new_folder(out) as folder:
            _export_weights(card, folder, container)

            complete_export(folder, tokenizer, file, ())


@contextmanager
def _library() -> Iterator[DependencyContainer]:
    """fairseq2's library, its default inside of the context."""
    container = DependencyContainer()

    with _swap_default_resolver(container):
        _register_library(container, no_progress=True)

        yield container


def load_run_tokenizer(
    config: Mapping[str, Any], resolver: DependencyResolver
) -> tuple[Tokenizer, Path]:
    """The tokenizer that a run's config names, and where it was loaded from.

    :raises ModelError: It is not there.
    """
    section = config.get("tokenizer", {})

    overrides = section.get("config_overrides") or {}

    path, family = section.get("path"), section.get("family")

    if path is not None and family is not None:
        return _load_by(family, Path(path), overrides, resolver)

    return _load_tokenizer(str(section.get("name")), overrides, resolver)


def target_languages(run: Run) -> list[str]:
    """The languages that a run validated translations into."""
    return sorted({direction.split("-")[1] for direction in run.validations if "-" in direction})


def _extra_paths(config: Mapping[str, Any]) -> list[Path]:
    assets = config.get("common", {}).get("assets", {})

    return [Path(path) for path in assets.get("extra_paths") or ()]


def _checkpoint(store: AssetStore, folder: Path, step: str | None) -> AssetCard:
    names = {
        None: ("best_checkpoint", "last_checkpoint"),
        "best": ("best_checkpoint",),
        "last": ("last_checkpoint",),
    }.get(step, (f"checkpoint_step_{step}",))

    for name in names:
        card = store.maybe_retrieve_card(name)

        if card is not None:
            return card

    steps = sorted(int(p.name[5:]) for p in folder.glob("step_*") if p.name[5:].isdigit())

    known = ", ".join(map(str, steps)) or "none"

    raise ModelError(
        f"{folder} has no checkpoint of the step {step or 'last'}: name one of {known}."
    )


def _export_weights(card: AssetCard, folder: Path, resolver: DependencyResolver) -> None:
    family = resolver.resolve(ModelFamily, key=card.field("model_family").as_(str))

    config = family.get_model_config(card)

    converter = get_hugging_face_converter(family.name)

    model = family.load_model(
        card, create_fake_gangs(CPU), torch.float32, config, load_rank0_only=True, mmap=False
    )

    weights = converter.to_hg_state_dict(model.state_dict(), config)

    save_hugging_face_model(folder, weights, converter.to_hg_config(config))


def _load_tokenizer(
    name: str, overrides: Mapping[str, Any], resolver: DependencyResolver
) -> tuple[Tokenizer, Path]:
    card = _tokenizer_card(name, resolver)

    family = resolver.resolve(TokenizerFamily, key=card.field("tokenizer_family").as_(str))

    config = replace(family.get_tokenizer_config(card), **overrides)  # type: ignore[type-var]

    file = _download(card, resolver)

    return family.load_custom_tokenizer(file, config, create_fake_gangs(CPU)), file


def tokenizer_file(name: str, resolver: DependencyResolver) -> Path:
    """The file or folder that the tokenizer with this name is loaded from.

    :raises ModelError: It is not known.
    """
    return _download(_tokenizer_card(name, resolver), resolver)


def _download(card: AssetCard, resolver: DependencyResolver) -> Path:
    uri = card.field("tokenizer").as_uri()

    return resolver.resolve(AssetDownloadManager).download_tokenizer(uri)


def _tokenizer_card(name: str, resolver: DependencyResolver) -> AssetCard:
    store = resolver.resolve(AssetStore)

    card = store.maybe_retrieve_card(name)

    if card is not None:
        card = resolve_tokenizer_reference(store, card)

    if card is None or not card.has_field("tokenizer_family"):
        raise ModelError(f"The tokenizer {name} is not known here: bring its card or its folder.")

    return card


def _load_by(
    family_name: str, path: Path, overrides: Mapping[str, Any], resolver: DependencyResolver
) -> tuple[Tokenizer, Path]:
    family = resolver.resolve(TokenizerFamily, key=family_name)

    config = replace(family.config_kls(), **overrides)  # type: ignore[type-var]

    return family.load_custom_tokenizer(path, config, create_fake_gangs(CPU)), path


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder that is at ``out`` once it is complete, and nowhere before."""
    if out.exists():
        raise ModelError(f"{out} is there already: name a new folder.")

    scratch = out.with_name(f".{out.name}.part")

    rmtree(scratch, ignore_errors=True)

    scratch.mkdir(parents=True)

    try:
        yield scratch

        scratch.rename(out)
    finally:
        rmtree(scratch, ignore_errors=True)
