"""Where a run's checkpoints are, and what fairseq2's card of them leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fairseq2.checkpoint import CheckpointDir
from fairseq2.models.hg import HG_FAMILY
from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.config import ModelSection

from fairseq2_jest.adapters.checkpoint import amend_card
from fairseq2_jest.recipes.model_kinds import model_family

_ARCH: Final = "causal_lm"


def checkpoint_dir(context: RecipeContext) -> Path:
    """The folder of the run's checkpoints."""
    return context.resolver.resolve(CheckpointDir).path or context.output_dir / "checkpoints"


def complete_card(context: RecipeContext, section: ModelSection) -> None:
    """Names an architecture on the card of checkpoints of the family ``hg``.

    The card has every field of the model's config, but fairseq2 puts them into a default config,
    and this family has none.

    :param section: What is trained.

    :raises OSError: The card cannot be written.
    """
    if context.gangs.root.rank == 0 and model_family(context, section) == HG_FAMILY:
        amend_card(checkpoint_dir(context), {"model_arch": _ARCH}, context.resolver)

    context.gangs.root.barrier()
