"""Beam search as transformers scores it."""

from __future__ import annotations

from fairseq2.generation import Seq2SeqGenerator, SequenceGenerator
from torch import Tensor
from torch.utils.hooks import RemovableHandle


def ignore_prompt_scores(generator: Seq2SeqGenerator | SequenceGenerator) -> RemovableHandle:
    """Lets hypotheses of ``generator`` be scored by what was generated alone.

    fairseq2 counts the log-probability of the prompt, hence of the target language's token, to the
    score of a hypothesis before it divides by the length; where the model is not sure of the
    language, that favours long translations. transformers takes the token for certain.
    """

    def hook(
        prompt_indices: Tensor, seqs: Tensor, step_scores: Tensor | None, prefill: bool
    ) -> None:
        if prefill and step_scores is not None:
            step_scores.zero_()

    return generator.register_step_hook(hook)
