"""COMET in the validations of a fine-tune."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fairseq2.logging import log
from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.config import GangSection

from fairseq2_jest.evaluation.comet.config import CometConfig
from fairseq2_jest.evaluation.comet.gathered import GatheredComet
from fairseq2_jest.evaluation.comet.interpreter import find_interpreter
from fairseq2_jest.evaluation.comet.scorer import (
    CometIdentity,
    CometScorer,
    read_identity,
    write_identity,
)
from fairseq2_jest.evaluation.errors import EvaluationError
from fairseq2_jest.recipes.finetune.config import FinetuneConfig

FIELD: Final = "validation.comet"


def open_comet(config: CometConfig | None, context: RecipeContext) -> GatheredComet | None:
    """Starts COMET on the first rank; ``None`` where it is not asked for.

    :raises EvaluationError: It is not there, cannot load its model, or is not that of the scores
        that the run has already.
    """
    if config is None:
        return None

    warning = timeout_warning(config, context.get_config_as(FinetuneConfig).gang)

    if warning is not None and context.gangs.root.size > 1:
        log.warning("{}", warning)

    # All ranks look for it, and none waits for one that did not find it.
    find_interpreter(config, FIELD)

    scorer = None

    if context.gangs.root.rank == 0:
        scorer = CometScorer(config, context.output_dir / "comet.log", field=FIELD)

        if context.get_checkpoint_manager().maybe_get_last_step_number() is not None:
            _check_known(context.output_dir, scorer.identity)

        write_identity(context.output_dir, scorer.identity)

    return GatheredComet(scorer, context.gangs.dp)


def timeout_warning(config: CometConfig, gang: GangSection) -> str | None:
    """Says what the other ranks have no patience for; ``None`` if there is nothing."""
    limit = 60.0 * gang.timeout

    fields = [
        f"`{FIELD}.{name}` ({seconds:g} seconds)"
        for name in ("start_timeout", "score_timeout")
        if (seconds := getattr(config, name)) > limit
    ]

    if not fields:
        return None

    return (
        f"COMET is not waited for as long as {' and '.join(fields)}: the other ranks give up, and "
        f"the run ends, after `gang.timeout` ({gang.timeout} minutes); raise that if COMET takes "
        f"longer to download, load or score."
    )


def _check_known(folder: Path, identity: CometIdentity) -> None:
    known = read_identity(folder)

    if known is not None and (difference := identity.difference(known)):
        raise EvaluationError(
            f"The scores of this run are by COMET of {difference}: {FIELD} must stay what it was "
            "for its checkpoints to be compared; give it back, or start anew in another output "
            "directory."
        )
