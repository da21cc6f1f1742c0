"""The names of the metrics that the plugin adds; reading them needs no fairseq2."""

from __future__ import annotations

from typing import Final

MEANS: Final = (
    "selection_temperature",
    "selection_support",
    "learner_score_selected",
    "learner_score_passed_over",
    "learner_loss_selected",
    "learner_loss_passed_over",
    "reference_loss_selected",
    "reference_loss_passed_over",
    "reference_score_selected",
    "reference_score_passed_over",
    "redundancy",
)
"""Averages over steps that :func:`fairseq2_jest.selection.metrics.describe_selection` reports."""

TOTALS: Final = (
    "num_seen",
    "num_selected",
    "num_too_long",
    "num_noise_seen",
    "num_noise_selected",
    "num_known_seen",
    "num_known_selected",
    "num_synthetic_seen",
    "num_synthetic_selected",
    "training_flops",
    "selection_flops",
    "filling_flops",
    "selection_time",
    "step_time",
)
"""Sums over steps; each is also published over the whole run as ``total_<name>``."""

SHARES: Final = (
    "selection_share",
    "noise_share_selected",
    "noise_share_seen",
    "known_share_selected",
    "known_share_seen",
    "synthetic_share_selected",
    "synthetic_share_seen",
)
"""Ratios of sums; those of noise and of known pairs only where the corpus is labelled, those of
synthetic pairs only where it has any."""
