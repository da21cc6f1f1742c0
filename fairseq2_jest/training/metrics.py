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

from fairseq2_jest.training.metric_names import MEANS, SHARES, TOTALS

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
    "num_synthetic_seen": format_as_int,
    "num_synthetic_selected": format_as_int,
    "selection_share": format_as_percentage,
    "noise_share_selected": format_as_percentage,
    "noise_share_seen": format_as_percentage,
    "known_share_selected": format_as_percentage,
    "known_share_seen": format_as_percentage,
    "synthetic_share_selected": format_as_percentage,
    "synthetic_share_seen": format_as_percentage,
}


def register_metrics(container: DependencyContainer) -> None:
    """Names the metrics for the recorders, and those that a run can be judged by."""
    names = [*MEANS, *TOTALS, *(f"total_{name}" for name in TOTALS), *SHARES]

    for priority, name in enumerate(names, start=600):
        base = name.removeprefix("total_")

        formatter = _FORMATS.get(base, format_as_float)

        descriptor = MetricDescriptor(name, name, priority, formatter, log=name == base)

        container.collection.register_instance(MetricDescriptor, descriptor)

    # Beside BLEU and chrF++, which fairseq2 has.
    comet = MetricDescriptor("comet", "COMET", 200, format_as_float, higher_better=True)

    container.collection.register_instance(MetricDescriptor, comet)
