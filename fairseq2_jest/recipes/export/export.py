"""Exporting a run's checkpoint, or a model by its name, to a folder for transformers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree
from typing import Any, Literal

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
from fairseq2.models.hg import save_hugging_face_model
from fairseq2.recipe.config import TokenizerSection
from fairseq2.recipe.run import _swap_default_resolver
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver
from fairseq2.utils.config import ConfigMerger
from fairseq2.utils.structured import ValueConverter

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.causal import find_converter
from fairseq2_jest.models.hugging_face.export import complete_export, hugging_face_tokenizer
from fairseq2_jest.recipes.export.adapter import export_adapter
from fairseq2_jest.recipes.export.card import write_card
from fairseq2_jest.recipes.finished_run import extra_asset_paths, find_step, run_tokenizer
from fairseq2_jest.report.runs import Run, find_folder, read_run

CARD = "README.md"


def export_run(
    path: Path,
    out: Path,
    *,
    step: Literal["best", "last"] | int | None,
    checkpoint_dir: Path | None,
    adapter_alone: bool = False,
) -> int:
    """Exports a checkpoint of the run at ``path`` to the new folder ``out``, with a model card.

    :param step: ``best``, ``last`` or a number; the best if the run scores, else the last.
    :param checkpoint_dir: Where the checkpoints are, if not in the run's folder.
    :param adapter_alone: Whether to export, for peft, the adapter that was trained, in place of the
        model that it is merged into.
    :return: The number of the step.

    :raises AdapterError: There is no such adapter.
    :raises ReportError: There is no run of ``mt finetune``.
    :raises UsageError: There is no such checkpoint, or it could run code.
    :raises ModelError: It cannot be exported.
    """
    run = read_run(find_folder(path))

    checkpoints = checkpoint_dir or run.folder / "checkpoints"

    # A library that was asked for something takes no more registrations.
    with _library() as container:
        number = find_step(checkpoints, step, path, container, option="--step")

    with _library() as container:
        for extra in extra_asset_paths(run.config):
            register_file_assets(container, extra)

        register_checkpoint_models(container, checkpoints)

        card = container.resolve(AssetStore).retrieve_card(f"checkpoint_step_{number}")

        with _new_folder(out) as folder:
            if adapter_alone:
                export_adapter(card, folder, run.config, container)

                write_card(folder / CARD, run, number, library="peft")
            else:
                section = run_tokenizer(run.config, run.folder, container)

                tokenizer, inner = _load_tokenizers(section, container)

                # The weights come last: to write them takes long, and all else may have a fault.
                write_card(folder / CARD, run, number)

                _export_weights(card, folder, container)

                complete_export(folder, tokenizer, inner, target_languages(run))

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

        tokenizer, inner = _load_tokenizers(TokenizerSection(name=name), container)

        with _new_folder(out) as folder:
            _export_weights(card, folder, container)

            complete_export(folder, tokenizer, inner, ())


@contextmanager
def _library() -> Iterator[DependencyContainer]:
    """fairseq2's library, its default inside of the context."""
    container = DependencyContainer()

    with _swap_default_resolver(container):
        _register_library(container, no_progress=True)

        yield container


def _load_tokenizers(
    section: TokenizerSection, resolver: DependencyResolver
) -> tuple[Tokenizer, Any]:
    """The tokenizer that a section names, and the same for transformers.

    :raises ModelError: It is not there, or has no counterpart in transformers.
    """
    if section.path is not None and section.family is not None:
        family, file = resolver.resolve(TokenizerFamily, key=section.family), section.path

        config: object = family.config_kls()
    else:
        card = _tokenizer_card(str(section.name), resolver)

        family = resolver.resolve(TokenizerFamily, key=card.field("tokenizer_family").as_(str))

        file, config = _download(card, resolver), family.get_tokenizer_config(card)

    if section.config_overrides is not None:
        converter = resolver.resolve(ValueConverter)

        merged = resolver.resolve(ConfigMerger).merge(
            converter.unstructure(config), section.config_overrides
        )

        config = converter.structure(merged, family.config_kls)

    tokenizer = family.load_custom_tokenizer(file, config, create_fake_gangs(CPU))

    return tokenizer, hugging_face_tokenizer(tokenizer, file)


def target_languages(run: Run) -> list[str]:
    """The languages that a run validated translations into."""
    return sorted({direction.split("-")[1] for direction in run.validations if "-" in direction})


def _export_weights(card: AssetCard, folder: Path, resolver: DependencyResolver) -> None:
    family = resolver.resolve(ModelFamily, key=card.field("model_family").as_(str))

    config = family.get_model_config(card)

    converter = find_converter(family.name)

    model = family.load_model(
        card, create_fake_gangs(CPU), torch.float32, config, load_rank0_only=True, mmap=False
    )

    weights = converter.to_hg_state_dict(model.state_dict(), config)

    save_hugging_face_model(folder, weights, converter.to_hg_config(config))


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
