"""Sections of `fairseq2 mt select`'s config."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from fairseq2.recipe.config import ReferenceModelSection
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.influence.gradients import Reduction
from fairseq2_jest.influence.precision import InfluencePrecisionName
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


@dataclass(kw_only=True)
class ScoringModelSection(ReferenceModelSection):
    """A model that is there, or a new one, by ``family`` and ``arch``, that is warmed up first."""

    @property
    def is_new(self) -> bool:
        return self.name is None and self.path is None

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return str(self.name or self.path or f"{self.family}/{self.arch}")

    @override
    def validate(self) -> ValidationResult:
        if not self.is_new:
            return super().validate()

        result = ValidationResult()

        if self.family is None or self.arch is None:
            result.add_error("`name`, `path`, or `family` and `arch` must be specified.")

        return result


@dataclass(frozen=True, kw_only=True)
class ScoringConfig(Validatable):
    """How influence is computed."""

    reduction: Reduction = "mean"
    """``mean`` over the tokens of a pair's response (the paper's text), or ``sum``, with which the
    longer a pair is, the more it counts."""

    max_discarded: float = 0.05
    """The share of what influence varies by that may be left out, for gradients to be looked at in
    fewer dimensions, which the seeds decide: 0.05 is all but the same, and faster (see
    ``benchmarks.influence.speed``); 0 leaves nothing out, if ``rank`` is ``None``."""

    rank: int | None = 512
    """The most dimensions of either side of a layer's gradient, of its four times as many leading
    eigenvectors; ``None`` for all. A warning tells where that leaves out more than may be. Each
    seed takes its square for each layer, in GPU memory, too; less where less will do."""

    block_size: int = 2048
    """How many pairs of the pool are scored before they are written: a kill costs one block."""

    amp: bool = False
    """Whether the model runs in mixed precision."""

    amp_dtype: torch.dtype = torch.bfloat16
    """The dtype of mixed precision."""

    precision: InfluencePrecisionName = "float32"
    """How influences are kept on the disk: in 4 bytes each, or, as ``float16`` with a scale for
    each pair, in 2. No sign changes, and none is off by more than 0.05 %, or 6e-8 of its pair's
    largest."""

    log_every_seconds: float = 30.0
    """How often progress is logged."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if not 0.0 <= self.max_discarded < 1.0:
            result.add_error(
                f"`max_discarded` must be at least 0 and less than 1, but is {self.max_discarded}."
            )
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
class WarmupSection(Validatable):
    """A short fine-tune on a sample of the pool, by whose model pairs are then scored."""

    num_steps: int = 200
    """How many steps it has; the sample is ``num_steps`` times ``batch_size`` pairs, at random."""

    batch_size: int = 256
    """How many pairs each step trains on."""

    lr: float = 3e-5
    """The learning rate, which stays what it is."""

    checkpoint_every_n_steps: int = 100
    """How much a kill costs at the most."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        for name in ("num_steps", "batch_size", "checkpoint_every_n_steps"):
            if getattr(self, name) < 1:
                result.add_error(f"`{name}` must be at least 1, but is {getattr(self, name)}.")

        if not self.lr > 0.0:
            result.add_error(f"`lr` must be positive, but is {self.lr}.")

        return result
