"""The metrics that the plugin adds to fairseq2's."""

from __future__ import annotations

from typing import Final

from fairseq2.metrics import (
    format_as_float,
    format_as_int,
    format_as_percentage,
    format_as_seconds,
)
from fairseq2.metrics.recorders import MetricDescriptor, MetricFormatter
from fairseq2.runtime.dependency import DependencyContainer

MEANS: Final = (
    "selection_temperature",
    "selection_support",
    "learner_score_selected",
    "learner_score_passed_over",
    "learner_loss_selected",
    "learner_loss_passed_over",
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
    "training_flops",
    "selection_flops",
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
)
"""Ratios of sums; those of noise and of known pairs only where the corpus is labelled."""

_FORMATS: Final[dict[str, MetricFormatter]] = {
    "selection_time": format_as_seconds,
    "step_time": format_as_seconds,
    "num_seen": format_as_int,
    "num_selected": format_as_int,
    "num_too_long": format_as_int,
    "num_noise_seen": format_as_int,
    "num_noise_selected": format_as_int,
    "num_known_seen": format_as_int,
    "num_known_selected": format_as_int,
    "selection_share": format_as_percentage,
    "noise_share_selected": format_as_percentage,
    "noise_share_seen": format_as_percentage,
    "known_share_selected": format_as_percentage,
    "known_share_seen": format_as_percentage,
}


def register_metrics(container: DependencyContainer) -> None:
    """Names the metrics for the recorders, and those that a run can be judged by."""
    names = [*MEANS, *TOTALS, *(f"total_{name}" for name in TOTALS), *SHARES]

    for priority, name in enumerate(names, start=600):
        base = name.removeprefix("total_")

        formatter = _FORMATS.get(base, format_as_float)

        descriptor = MetricDescriptor(name, name, priority, formatter, log=name == base)

        container.collection.register_instance(MetricDescriptor, descriptor)
