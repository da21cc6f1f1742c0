"""Takes model and tokenizer from a run of `mt finetune`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fairseq2.assets import AssetMetadataError, AssetMetadataProvider
from fairseq2.checkpoint import ModelMetadataLoader
from fairseq2.recipe.config import CommonSection, ReferenceModelSection, TokenizerSection
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.structured import StructureError, ValueConverter
from fairseq2.utils.yaml import YamlError, YamlLoader

from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.report.errors import ReportError
from fairseq2_jest.report.runs import find_folder

if TYPE_CHECKING:
    from fairseq2_jest.recipes.translate.config import RunSection


class NamesRun(Protocol):
    """A config that may name a run in place of a model and its tokenizer."""

    run: RunSection
    model: ReferenceModelSection
    tokenizer: TokenizerSection
    common: CommonSection


def take_from_run(config: NamesRun, resolver: DependencyResolver) -> None:
    """Fills in ``model``, ``tokenizer``, the step and where fairseq2 finds assets, in place.

    :raises UsageError: There is no such run, or no such checkpoint in it.
    """
    run = config.run

    if run.path is None:
        return

    try:
        folder = find_folder(run.path)
    except ReportError as ex:
        raise UsageError(
            f"run.path must be the output directory of a run of mt finetune: {ex}"
        ) from ex

    checkpoints = run.checkpoint_dir or folder / "checkpoints"

    step = _find_step(config, checkpoints, resolver)

    settings = _read_config(folder / "config.yaml", resolver)

    # From here on it is this step, though a better one may be saved meanwhile.
    run.checkpoint = step

    model, assets = config.model, config.common.assets

    model.name, model.path, model.family, model.arch = f"checkpoint_step_{step}", None, None, None
    model.config_overrides = None

    config.tokenizer = _tokenizer(settings, folder, resolver)

    assets.prev_checkpoint_dir = checkpoints
    assets.extra_paths = list(
        dict.fromkeys([*map(Path, assets.extra_paths), *_extra_paths(settings)])
    )


def _find_step(config: NamesRun, checkpoints: Path, resolver: DependencyResolver) -> int:
    wanted = config.run.checkpoint

    steps, best = _saved_steps(checkpoints, resolver)

    if not steps:
        raise UsageError(
            f"The run in {config.run.path} has no checkpoint in {checkpoints}; wait for its first "
            "one, or name another run in run.path."
        )

    if wanted is None:
        return steps[-1] if best is None else best

    if wanted == "last":
        return steps[-1]

    if wanted == "best":
        if best is None:
            raise UsageError(
                f"run.checkpoint is best, but the run in {config.run.path} has scored no "
                "checkpoint that it kept; set it to last or to a step."
            )

        return best

    if wanted not in steps:
        raise UsageError(
            f"run.checkpoint is {wanted}, but the run in {config.run.path} has checkpoints of "
            f"step {', '.join(map(str, steps))} only; name one of these."
        )

    return wanted


def _saved_steps(checkpoints: Path, resolver: DependencyResolver) -> tuple[list[int], int | None]:
    """The steps of which there is a model, ascending, and the best of them, if any is scored."""
    # fairseq2 takes any folder of that name for a checkpoint.
    steps = sorted(
        int(folder.name.removeprefix("step_"))
        for folder in checkpoints.glob("step_*")
        if re.fullmatch(r"step_\d+", folder.name) and any(folder.glob("model/**/*.pt"))
    )

    if not steps:
        return [], None

    try:
        cards = resolver.resolve(ModelMetadataLoader).load(checkpoints)
    except (AssetMetadataError, OSError) as ex:
        raise UsageError(
            f"The checkpoints in {checkpoints} cannot be used ({ex}); name another run in run.path."
        ) from ex

    if (cards.maybe_get_metadata("checkpoint@") or {}).get("restrict") is False:
        raise UsageError(
            f"{checkpoints / 'model.yaml'} sets `restrict` to false, with which a checkpoint could "
            "run any code; remove that line."
        )

    return steps, next((step for step in _ranked(cards) if step in steps), None)


def _ranked(cards: AssetMetadataProvider) -> list[int]:
    """The scored steps, the best first."""
    ranked: list[int] = []

    while (card := cards.maybe_get_metadata(f"best_checkpoint_{len(ranked)}@")) is not None:
        ranked.append(int(Path(str(card["checkpoint"])).parent.name.removeprefix("step_")))

    return ranked


def _read_config(file: Path, resolver: DependencyResolver) -> Mapping[str, Any]:
    try:
        documents = resolver.resolve(YamlLoader).load(file)
    except (YamlError, OSError, UnicodeDecodeError) as ex:
        raise UsageError(f"{file} cannot be read ({' '.join(str(ex).split())}).") from ex

    if len(documents) != 1 or not isinstance(documents[0], Mapping):
        raise UsageError(f"{file} is not the config of a run; name another run in run.path.")

    return documents[0]


def _tokenizer(
    settings: Mapping[str, Any], folder: Path, resolver: DependencyResolver
) -> TokenizerSection:
    try:
        section = resolver.resolve(ValueConverter).structure(
            settings.get("tokenizer"), TokenizerSection
        )
    except StructureError as ex:
        raise UsageError(
            f"The config of the run in {folder} names no tokenizer; name another run in run.path."
        ) from ex

    assert isinstance(section, TokenizerSection)

    return section


def _extra_paths(settings: Mapping[str, Any]) -> list[Path]:
    """Where the run found further asset cards, the tokenizer's perhaps."""
    assets = (settings.get("common") or {}).get("assets") or {}

    return [Path(path) for path in assets.get("extra_paths") or []]
