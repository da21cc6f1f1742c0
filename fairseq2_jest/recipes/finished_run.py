"""Takes model and tokenizer from a run of `mt finetune`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from fairseq2.assets import AssetMetadataError, AssetMetadataProvider
from fairseq2.checkpoint import ModelMetadataLoader
from fairseq2.recipe.config import CommonSection, ReferenceModelSection, TokenizerSection
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.structured import StructureError, ValueConverter
from fairseq2.utils.validation import Validatable, ValidationResult
from fairseq2.utils.yaml import YamlError, YamlLoader
from typing_extensions import override

from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.corpus.prompt import PromptConfig
from fairseq2_jest.report.errors import ReportError
from fairseq2_jest.report.runs import find_folder


@dataclass(kw_only=True)
class RunSection(Validatable):
    """A run of ``mt finetune`` whose model is used."""

    path: Path | None = None
    """The output directory of the run, with or without the folder that fairseq2 makes in it;
    ``None`` to go by ``model`` and ``tokenizer``."""

    checkpoint: Literal["best", "last"] | int | None = None
    """``best`` by the run's ``regime.score_metric``, ``last``, or a step; ``None`` for the best
    where the run has scores, else the last."""

    checkpoint_dir: Path | None = None
    """Where its checkpoints are, if it was started with ``--checkpoint-dir``."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.path is None and self.checkpoint_dir is not None:
            result.add_error("`path` must be given where `checkpoint_dir` is.")

        return result


class NamesRun(Protocol):
    """A config that may name a run in place of a model and its tokenizer."""

    run: RunSection
    tokenizer: TokenizerSection
    prompt: PromptConfig
    common: CommonSection

    @property
    def model(self) -> ReferenceModelSection:
        """Its own section, or one with more in it."""


def take_from_run(config: NamesRun, resolver: DependencyResolver) -> None:
    """Fills in ``model``, ``tokenizer``, ``prompt``, the step and where assets are, in place.

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

    step = find_step(checkpoints, run.checkpoint, run.path, resolver)

    settings = _read_config(folder / "config.yaml", resolver)

    # From here on it is this step, though a better one may be saved meanwhile.
    run.checkpoint = step

    model, assets = config.model, config.common.assets

    model.name, model.path, model.family, model.arch = f"checkpoint_step_{step}", None, None, None
    model.config_overrides = None

    config.tokenizer = run_tokenizer(settings, folder, resolver)

    config.prompt = _run_prompt(settings, folder, resolver)

    assets.prev_checkpoint_dir = checkpoints
    assets.extra_paths = list(
        dict.fromkeys([*map(Path, assets.extra_paths), *extra_asset_paths(settings)])
    )


def find_step(
    checkpoints: Path,
    wanted: Literal["best", "last"] | int | None,
    run: Path,
    resolver: DependencyResolver,
    *,
    option: str = "run.checkpoint",
) -> int:
    """The step of the checkpoint that is ``wanted`` of ``run``; see :class:`RunSection`.

    :param option: What names it, for messages.

    :raises UsageError: There is no such checkpoint, or it could run code.
    """
    steps, best = _saved_steps(checkpoints, resolver)

    if not steps:
        raise UsageError(
            f"The run in {run} has no checkpoint in {checkpoints}; wait for its first one, or name "
            "another run."
        )

    if wanted is None:
        return steps[-1] if best is None else best

    if wanted == "last":
        return steps[-1]

    if wanted == "best":
        if best is None:
            raise UsageError(
                f"{option} is best, but the run in {run} has scored no checkpoint that it kept; "
                "set it to last or to a step."
            )

        return best

    if wanted not in steps:
        raise UsageError(
            f"{option} is {wanted}, but the run in {run} has checkpoints of step "
            f"{', '.join(map(str, steps))} only; name one of these."
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
            f"The checkpoints in {checkpoints} cannot be used ({ex}); name another run."
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
        raise UsageError(f"{file} is not the config of a run; name another run.")

    return documents[0]


def run_tokenizer(
    settings: Mapping[str, Any], folder: Path, resolver: DependencyResolver
) -> TokenizerSection:
    """The tokenizer that the config of the run in ``folder`` names.

    :raises UsageError: It names none.
    """
    try:
        section = resolver.resolve(ValueConverter).structure(
            settings.get("tokenizer"), TokenizerSection
        )
    except StructureError as ex:
        raise UsageError(
            f"The config of the run in {folder} names no tokenizer; name another run."
        ) from ex

    assert isinstance(section, TokenizerSection)

    return section


def _run_prompt(
    settings: Mapping[str, Any], folder: Path, resolver: DependencyResolver
) -> PromptConfig:
    try:
        prompt = resolver.resolve(ValueConverter).structure(
            settings.get("prompt") or {}, PromptConfig
        )
    except StructureError as ex:
        raise UsageError(
            f"The config of the run in {folder} has no prompt that is one; name another run."
        ) from ex

    assert isinstance(prompt, PromptConfig)

    return prompt


def extra_asset_paths(settings: Mapping[str, Any]) -> list[Path]:
    """Where the run found further asset cards, the tokenizer's perhaps."""
    assets = (settings.get("common") or {}).get("assets") or {}

    return [Path(path) for path in assets.get("extra_paths") or []]
