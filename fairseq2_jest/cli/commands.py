"""The commands of ``fairseq2 mt``. A new command is one line in :data:`COMMANDS` or :data:`TOOLS`.

Nothing here imports fairseq2 or torch, so that help is immediate.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that runs a fairseq2 recipe."""

    name: str
    """What is typed after ``fairseq2 mt``; also the folder of its presets."""

    help: str
    """One line for the list of commands."""

    recipe: str
    """Where the recipe class is, as ``module:Class``; it is constructed without arguments."""

    check: str
    """What ``mt check`` calls, as ``module:function``; takes the config, returns lines."""

    checkpoints: Literal["written", "read"] | None = None
    """What it does with the checkpoints of a run: it writes them, or its section ``run`` names
    them."""


COMMANDS: Final[tuple[Command, ...]] = (
    Command(
        name="finetune",
        help="fine-tune a translation model; the batch selector decides what each step trains on",
        recipe="fairseq2_jest.recipes.finetune.recipe:FinetuneRecipe",
        check="fairseq2_jest.recipes.finetune.check:check",
        checkpoints="written",
    ),
    Command(
        name="embed",
        help="fill the store of reference embeddings of a corpus ahead of time",
        recipe="fairseq2_jest.recipes.embed.recipe:EmbedRecipe",
        check="fairseq2_jest.recipes.embed.check:check",
    ),
    Command(
        name="select",
        help="choose pairs of a pool whose gradients help trusted seeds and are diverse (G-DIG)",
        recipe="fairseq2_jest.recipes.select.recipe:SelectRecipe",
        check="fairseq2_jest.recipes.select.check:check",
        checkpoints="read",
    ),
    Command(
        name="backtranslate",
        help="make synthetic pairs of monolingual target text, filtered and ready for finetune",
        recipe="fairseq2_jest.recipes.backtranslate.recipe:BacktranslateRecipe",
        check="fairseq2_jest.recipes.backtranslate.check:check",
        checkpoints="read",
    ),
    Command(
        name="translate",
        help="translate a file or standard input by beam search",
        recipe="fairseq2_jest.recipes.translate.recipe:TranslateRecipe",
        check="fairseq2_jest.recipes.translate.check:check",
        checkpoints="read",
    ),
    Command(
        name="evaluate",
        help="score translations with BLEU, chrF++, TER, spBLEU and COMET; compare systems",
        recipe="fairseq2_jest.recipes.evaluate.recipe:EvaluateRecipe",
        check="fairseq2_jest.recipes.evaluate.check:check",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A command that runs no recipe: it has no config and no presets."""

    name: str
    """What is typed after ``fairseq2 mt``."""

    help: str
    """One line for the list of commands."""

    run: str
    """What it calls, as ``module:function``; takes the arguments after its name."""


TOOLS: Final[tuple[Tool, ...]] = (
    Tool(
        name="report",
        help="compare runs: curves against samples, FLOPs and time; one page, PNG and JSON",
        run="fairseq2_jest.cli.report:run",
    ),
    Tool(
        name="export",
        help="write a run's checkpoint, or a model by its name, as a folder for transformers",
        run="fairseq2_jest.cli.export:run",
    ),
)


def load_object(path: str) -> Any:
    """Import what ``module:name`` names."""
    module, name = path.split(":")

    return getattr(import_module(module), name)
