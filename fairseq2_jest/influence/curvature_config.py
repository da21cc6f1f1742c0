"""How the curvature is approximated, and damped."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

CurvatureMethod: TypeAlias = Literal["kfac", "ekfac"]


@dataclass(frozen=True, kw_only=True)
class DampingConfig(Validatable):
    """What is added to the curvature's eigenvalues (Eq. 14).

    The authors' code has 0.5, absolute, with factors that are sums over tokens.
    """

    kind: Literal["relative", "absolute"] = "relative"
    """``relative`` to the mean eigenvalue of each layer, or the same number for all."""

    value: float = 10.0
    """By how much of it. So much leaves little but the largest eigenvalues to the curvature, and
    finds planted noise best (``benchmarks.influence.planted_noise``); 0.1 is usual elsewhere."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if not 0.0 < self.value < float("inf"):
            result.add_error(f"`value` must be positive, but is {self.value}.")

        return result


@dataclass(frozen=True, kw_only=True)
class CurvatureConfig(Validatable):
    """How ``H`` is approximated."""

    method: CurvatureMethod = "kfac"
    """``kfac`` (the paper's): for each layer ``A kron S``, the covariance of its inputs and that of
    its output gradients, per token. ``ekfac``: the same eigenvectors, with the eigenvalues measured
    on whole gradients of pairs in a second pass."""

    labels: Literal["sampled", "empirical"] = "sampled"
    """``sampled`` from the model's predictions, which makes it the Fisher matrix, or as they are
    (the paper's), the empirical Fisher."""

    num_pairs: int = 8192
    """How many pairs of the pool it is estimated on, at the most."""

    num_shards: int = 8
    """The pieces that this work is cut into: a kill costs one, ranks share them. More take more
    room on the disk, a copy of the factors each."""

    damping: DampingConfig = field(default_factory=DampingConfig)
    """What is added to it."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.num_pairs < 1:
            result.add_error(f"`num_pairs` must be at least 1, but is {self.num_pairs}.")
        if self.num_shards < 1:
            result.add_error(f"`num_shards` must be at least 1, but is {self.num_shards}.")

        return result
