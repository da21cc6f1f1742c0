"""What is compared, and at which models; imported in the environments of all sides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final, Literal

OURS: Final = "this package"

OURS_WHOLE: Final = "this package, nothing left out"

BERGSON: Final = "bergson"

_RANK: Final = 16

KRONFLUENCE: Final = (f"kronfluence, rank {_RANK}", "kronfluence, full rank")

SIDES: Final = (OURS, OURS_WHOLE, *KRONFLUENCE, BERGSON)

DISCARDED: Final[Mapping[str, float]] = {OURS: 0.05, OURS_WHOLE: 0.0}
"""The share of what influence varies by that our own may leave out."""

RANKS: Final[Mapping[str, int | None]] = {KRONFLUENCE[0]: _RANK, KRONFLUENCE[1]: None}
"""What rank kronfluence keeps of a seed's gradient; ``None`` for the whole of it."""

WHOLE: Final = (KRONFLUENCE[1], BERGSON)
"""The sides of others that leave nothing out."""

NUM_CURVATURE_PAIRS: Final = 256
"""The first of the pool."""

MAX_NUM_TOKENS: Final = 2048
"""Tokens in a batch, padding included."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model, of random weights if nothing else is said, and what of it is tracked."""

    kind: Literal["nllb", "llama"]
    model_dim: int
    ffn_inner_dim: int
    num_layers: int
    """Of each stack."""
    stride: int
    """Every how many layers' FFNs are tracked."""
    prompted: bool = True
    """Whether a decoder-only model is given a prompt with the source before the target."""
    trained: bool = False
    """Whether it is the tiny NLLB of the benchmarks of influence, after its warm-up."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all sides compute."""

    shape: str
    """One of :data:`SHAPES`."""
    num_pairs: int
    """Of the pool."""
    num_seeds: int
    damping: float
    """Relative to the mean eigenvalue of a layer."""
    checkpoint: str | None = None
    """That of a trained model."""

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def parse(text: str) -> Job:
        """What ``str`` gave."""
        return Job(**json.loads(text))


SHAPES: Final[Mapping[str, Shape]] = {
    "tiny": Shape(
        kind="nllb", model_dim=128, ffn_inner_dim=512, num_layers=2, stride=1, trained=True
    ),
    "small": Shape(kind="nllb", model_dim=256, ffn_inner_dim=1024, num_layers=6, stride=3),
    "llama": Shape(kind="llama", model_dim=256, ffn_inner_dim=1024, num_layers=6, stride=3),
    "llama-bare": Shape(
        kind="llama", model_dim=256, ffn_inner_dim=1024, num_layers=6, stride=3, prompted=False
    ),
}
