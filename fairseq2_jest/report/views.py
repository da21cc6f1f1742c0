"""Who scores a pair before it is chosen or passed over, and in what unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class View:
    """One model's figure for a pair."""

    key: str
    """Its name in the audits of a run."""

    metric: str
    """Its name in the training records, before ``_selected`` and ``_passed_over``."""

    name: str
    """Its name in tables."""

    unit: str
    """Its unit."""


REFERENCE: Final = View(
    key="reference", metric="reference_score", name="reference score", unit="cosine"
)

LEARNER: Final = View(key="learner", metric="learner_score", name="learner score", unit="cosine")

LEARNER_LOSS: Final = View(
    key="learner_loss", metric="learner_loss", name="learner loss", unit="of ln V"
)

REFERENCE_LOSS: Final = View(
    key="reference_loss", metric="reference_loss", name="reference model's loss", unit="of ln V"
)

VIEWS: Final = (REFERENCE, LEARNER, LEARNER_LOSS, REFERENCE_LOSS)
"""The frozen reference's, then the model in training's, then a trusted model's."""
