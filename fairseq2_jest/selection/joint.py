"""Joint selection: Algorithm 1 of arXiv 2511.04406 (JEST, arXiv 2406.17711) in linear time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final, Literal

import torch
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.validation import ValidationResult
from torch import Generator, Tensor

from fairseq2_jest.selection.learnability import Learnability
from fairseq2_jest.selection.learnable import LearnabilityConfig, LearnabilitySelector
from fairseq2_jest.selection.sampling import (
    chunk_sizes,
    effective_support,
    gumbel_noise,
    standardise,
    temperature_for_support,
    top_rows,
)
from fairseq2_jest.selection.selector import BatchSelector, Selection, SuperBatch

OFF_DIAGONAL_SIGN: Final = {"paper": 1.0, "contrastive": -1.0}


@dataclass(frozen=True, kw_only=True)
class JointConfig(LearnabilityConfig):
    """Configures the selector ``joint``."""

    num_chunks: int = 4
    """The number of draws that make up a sub-batch; each is conditioned on those before it."""

    off_diagonal: Literal["contrastive", "paper"] = "contrastive"
    """
    The sign of ``L_ij`` for ``i != j``. ``paper``: as printed, so that similar pairs attract each
    other. ``contrastive``: negated, as in JEST, where other pairs are negatives and similar ones
    repel each other.
    """

    joint_terms: Literal["mean", "sum"] = "mean"
    """
    What a candidate's relations to the pairs already chosen amount to. ``sum``: the paper's; with
    every chunk they weigh more, until they outweigh the pair's own learnability and noise comes in.
    ``mean``: they weigh as much as one pair does.
    """

    temperature: float | Literal["auto", "raw"] = "auto"
    """
    How logits become probabilities. ``raw``: as they are (the paper). A number: standardised over
    the candidates left, then divided by it. ``auto``: standardised, and the temperature of each
    chunk is set from ``target_support``.
    """

    target_support: float = 1.5
    """
    The effective support that ``auto`` aims at, as a multiple of the sub-batch. Towards 0 the
    choice becomes the top of the ranking. Where few candidates are left, half way from the chunk to
    all of them is the most that is aimed at.
    """

    def validate(self) -> ValidationResult:
        result = super().validate()

        if self.num_chunks < 1:
            result.add_error(f"`num_chunks` must be at least 1, but is {self.num_chunks}.")
        if not isinstance(self.temperature, str) and not 0.0 < self.temperature < float("inf"):
            result.add_error(
                f"`temperature` must be auto, raw or a positive number, but is {self.temperature}."
            )
        if not 0.0 < self.target_support < float("inf"):
            result.add_error(
                f"`target_support` must be a positive number, but is {self.target_support}."
            )

        return result


class JointSelector(LearnabilitySelector):
    """Draws chunks; each candidate is weighed by itself and by its relation to those chosen."""

    def __init__(self, config: JointConfig) -> None:
        super().__init__(config)

        self._config = config

    @property
    def draws(self) -> bool:
        return True

    def select(self, super_batch: SuperBatch, generator: Generator) -> Selection:
        config = self._config

        learnability = self.learnability(super_batch)

        sizes = chunk_sizes(super_batch.num_rows, config.filter_ratio, config.num_chunks)

        noise = gumbel_noise((len(sizes), len(learnability)), generator)

        selection = draw_jointly(
            learnability,
            sizes,
            noise.to(learnability.diagonal.device),
            sign=OFF_DIAGONAL_SIGN[config.off_diagonal],
            average=config.joint_terms == "mean",
            temperature=config.temperature,
            target_support=config.target_support * sum(sizes),
        )

        return replace(
            selection,
            indices=super_batch.places(selection.indices),
            learnability=learnability.diagonal,
        )


def draw_jointly(
    learnability: Learnability,
    sizes: Sequence[int],
    noise: Tensor,
    *,
    sign: float,
    average: bool,
    temperature: float | Literal["auto", "raw"],
    target_support: float,
) -> Selection:
    """Draws chunk after chunk without replacement, by Gumbel top-k.

    The logit of a candidate ``j`` is ``L_jj``, and from the second chunk on ``L_jj + sign * sum
    over chosen i of (L_ij + L_ji)``. Time and memory are O(N d) for each chunk.

    :param sizes: The chunk sizes; they add up to at most N.
    :param noise: Standard Gumbel noise. *Shape:* ``(len(sizes), N)``.
    :param average: Whether that sum is divided by the number of the chosen.
    :param target_support: In rows; only for ``auto``.
    """
    left = torch.ones(len(learnability), dtype=torch.bool, device=learnability.diagonal.device)

    chunks: list[Tensor] = []
    temperatures: list[float] = []
    supports: list[float] = []

    joint_terms = torch.zeros_like(learnability.diagonal)

    for size, chunk_noise in zip(sizes, noise, strict=True):
        if chunks:
            joint_terms += sign * learnability.joint_terms(chunks[-1])

        candidates = left.nonzero().squeeze(1)

        scale = 1.0 / max(1, sum(sizes[: len(chunks)])) if average else 1.0

        logits = (learnability.diagonal + scale * joint_terms)[candidates]

        if temperature == "raw":
            chunk_temperature = 1.0
        else:
            logits = standardise(logits)

            if temperature == "auto":
                # Of few candidates left, no more than half way from the chunk to all of them:
                # beyond, a draw would be iid.
                most = 0.5 * (len(candidates) + size)

                chunk_temperature = temperature_for_support(logits, min(target_support, most))
            else:
                chunk_temperature = temperature

        logits = logits / chunk_temperature

        chosen = candidates[top_rows(logits + chunk_noise[candidates].to(logits.dtype), size)]

        left[chosen] = False

        chunks.append(chosen)
        temperatures.append(chunk_temperature)
        supports.append(effective_support(logits))

    return Selection(
        indices=torch.cat(chunks), temperature=fmean(temperatures), support=fmean(supports)
    )


def create_joint_selector(resolver: DependencyResolver, config: JointConfig) -> BatchSelector:
    return JointSelector(config)
