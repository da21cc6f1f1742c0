"""The config of `fairseq2 mt select`."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from fairseq2.recipe.config import (
    CommonSection,
    GangSection,
    ReferenceModelSection,
    TokenizerSection,
)
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.influence.curvature_config import CurvatureConfig
from fairseq2_jest.influence.diversity import DiversityConfig
from fairseq2_jest.influence.gradients import Reduction
from fairseq2_jest.influence.layers import LayersConfig
from fairseq2_jest.influence.rule import RuleConfig
from fairseq2_jest.recipes.finished_run import RunSection, take_from_run
from fairseq2_jest.recipes.sections import PairsSection


@dataclass(kw_only=True)
class PoolSection(PairsSection):
    """The pool, and the seeds beside it; a pair that is too long is not scored."""

    pool_split: str = "train"
    """The split to choose from."""

    seed_split: str = "seeds"
    """The split of pairs that are trusted."""

    num_seeds: int = 256
    """How many of these are taken, at random; 256 in the paper."""

    allow_seeds_in_pool: bool = False
    """Whether a seed may be a pair of the pool, too, which it would then help most."""

    max_num_tokens: int = 4096
    """The most tokens of a side in a batch, padding included; gradients take memory, too."""

    @override
    def validate(self) -> ValidationResult:
        result = super().validate()

        if self.num_seeds < 1:
            result.add_error(f"`num_seeds` must be at least 1, but is {self.num_seeds}.")

        return result


@dataclass(frozen=True, kw_only=True)
class ScoringConfig(Validatable):
    """How influence is computed."""

    reduction: Reduction = "mean"
    """``mean`` over the tokens of a pair's response (the paper's text), or ``sum``, with which the
    longer a pair is, the more it counts."""

    rank: int | None = 16
    """The rank at which the preconditioned gradient of a seed is kept, for each layer; ``None`` for
    all of it. What is left out is reported."""

    block_size: int = 512
    """How many pairs of the pool are scored before they are written: a kill costs one block."""

    amp: bool = False
    """Whether the model runs in mixed precision."""

    amp_dtype: torch.dtype = torch.bfloat16
    """The dtype of mixed precision."""

    log_every_seconds: float = 30.0
    """How often progress is logged."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.rank is not None and self.rank < 1:
            result.add_error(f"`rank` must be at least 1 or null, but is {self.rank}.")
        if self.block_size < 1:
            result.add_error(f"`block_size` must be at least 1, but is {self.block_size}.")
        if not self.log_every_seconds > 0.0:
            result.add_error(
                f"`log_every_seconds` must be positive, but is {self.log_every_seconds}."
            )

        return result


@dataclass(kw_only=True)
class SelectConfig(Validatable):
    """fairseq2's own sections, and those of G-DIG."""

    dataset: PoolSection = field(default_factory=lambda: PoolSection(family="parallel_text"))
    """The pool and the seeds."""

    run: RunSection = field(default_factory=RunSection)
    """A run of ``mt finetune`` that ``model`` and ``tokenizer`` are taken from: influence wants a
    model that was fine-tuned on the pool, or a sample of it."""

    model: ReferenceModelSection = field(
        default_factory=lambda: ReferenceModelSection(name="nllb-200_dense_distill_600m")
    )
    """The model at which gradients are taken."""

    tokenizer: TokenizerSection = field(default_factory=lambda: TokenizerSection(name="nllb-200"))
    """Its tokenizer."""

    layers: LayersConfig = field(default_factory=LayersConfig)
    """Whose gradients."""

    curvature: CurvatureConfig = field(default_factory=CurvatureConfig)
    """What they are preconditioned by."""

    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    """How influence is computed."""

    rule: RuleConfig = field(default_factory=RuleConfig)
    """Which pairs are good enough. What is below may change between runs of one output directory,
    without anything being scored again."""

    diversity: DiversityConfig = field(default_factory=DiversityConfig)
    """How the choice is spread over these."""

    preview_only: bool = False
    """Whether to stop once it is known how many pairs each rule would keep."""

    gang: GangSection = field(default_factory=GangSection)
    """fairseq2's processes."""

    # Any number of processes can go on with what is there; what is of something else is told by
    # the manifest.
    common: CommonSection = field(default_factory=lambda: CommonSection(no_sweep_dir=True))
    """Threads, seed, extra assets."""

    def complete(self, resolver: DependencyResolver) -> None:
        """Takes model and tokenizer from ``run``, where it names one; twice does no more than once.

        :raises UsageError: There is no such run, or no such checkpoint in it.
        """
        take_from_run(self, resolver)

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.gang.tensor_parallel_size != 1:
            result.add_error(
                "`gang.tensor_parallel_size` must be 1: each process scores pairs of its own."
            )

        return result
