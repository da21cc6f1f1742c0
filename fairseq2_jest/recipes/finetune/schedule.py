"""What is odd about a learning rate's schedule, though it runs."""

from __future__ import annotations

from fairseq2_jest.recipes.finetune.config import FinetuneConfig


def schedule_warning(config: FinetuneConfig) -> str | None:
    """A sentence on a warm-up that a run does not complete; ``None`` where it does.

    fairseq2 0.8 takes such a schedule, and makes a negative cycle of what is left for
    ``cosine_annealing``; where it divides by it, :meth:`FinetuneConfig.validate` has refused it.
    """
    num_warmup_steps = getattr(config.lr_scheduler.config, "num_warmup_steps", 0)

    num_steps = config.regime.num_steps

    if num_steps is None or num_warmup_steps < num_steps:
        return None

    share = num_steps / num_warmup_steps

    return (
        f"The learning rate ends at {share:.0%} of `optimizer.config.lr`: "
        f"`lr_scheduler.config.num_warmup_steps` is {num_warmup_steps:,}, but the run has "
        f"{num_steps:,} step(s); lower the one or raise `regime.num_steps`."
    )
