"""Whether a run can go on from the checkpoint that is there."""

from __future__ import annotations

from fairseq2.recipe.base import RecipeContext

from fairseq2_jest.recipes.checkpoint_card import checkpoint_dir
from fairseq2_jest.selection.errors import ResumeError


def last_full_step(context: RecipeContext) -> int | None:
    """The step of the checkpoint that the run would go on from; ``None`` for its beginning."""
    manager = context.get_checkpoint_manager()

    return manager.maybe_get_last_step_number(exclude_model_only=True)


def check_number_of_ranks(context: RecipeContext, *, sharded: bool) -> None:
    """Refuses a number of ranks that the last checkpoint does not fit.

    Choices do not depend on it, and with data parallelism alone any rank's state will do, so fewer
    ranks may go on; fairseq2 lets every further one fail, and the others wait for it.

    :param sharded: Whether the ranks share the model out.

    :raises ResumeError: It was saved by another number of ranks.
    """
    step_nr = last_full_step(context)

    if step_nr is None:
        return

    folder = checkpoint_dir(context)

    num_saved = len(list((folder / f"step_{step_nr}" / "data_reader").glob("dp_*.pt")))

    num_ranks = context.gangs.dp.size

    if num_ranks > num_saved or (sharded and num_ranks != num_saved):
        mend = f"{num_saved}" if sharded or num_saved == 1 else f"{num_saved} or fewer"

        raise ResumeError(
            f"The run in {context.output_dir} was saved by {num_saved} rank(s) and cannot go on "
            f"with {num_ranks}; start it with {mend}, or give another output directory."
        )
