"""COMET in the validations of a fine-tune."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fairseq2.recipe.base import RecipeContext

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

FIELD: Final = "validation.comet"


def open_comet(config: CometConfig | None, context: RecipeContext) -> GatheredComet | None:
    """Starts COMET on the first rank; ``None`` where it is not asked for.

    :raises EvaluationError: It is not there, cannot load its model, or is not that of the scores
        that the run has already.
    """
    if config is None:
        return None

    # All ranks look for it, and none waits for one that did not find it.
    find_interpreter(config, FIELD)

    scorer = None

    if context.gangs.root.rank == 0:
        scorer = CometScorer(config, context.output_dir / "comet.log", field=FIELD)

        if context.get_checkpoint_manager().maybe_get_last_step_number() is not None:
            _check_known(context.output_dir, scorer.identity)

        write_identity(context.output_dir, scorer.identity)

    return GatheredComet(scorer, context.gangs.dp)


def _check_known(folder: Path, identity: CometIdentity) -> None:
    known = read_identity(folder)

    if known is not None and (difference := identity.difference(known)):
        raise EvaluationError(
            f"The scores of this run are by COMET of {difference}: {FIELD} must stay what it was "
            "for its checkpoints to be compared; give it back, or start anew in another output "
            "directory."
        )
