"""Grouping runs into arms: those of one arm differ only in their seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Final

from fairseq2_jest.report.curves import Point, average, quality_curve
from fairseq2_jest.report.measures import Measure
from fairseq2_jest.report.runs import Run

_NO_DIFFERENCE: Final = ("seed", "metric_recorders", "profilers")
"""The keys of the section ``common`` by which the runs of one arm may differ."""


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Runs that differ only in their seeds."""

    name: str
    """What it is called: the name of its run, or what the names of its runs have in common."""

    runs: Sequence[Run]
    """Its runs, at least one."""

    def quality(self, measure: Measure, directions: Sequence[str]) -> list[Point]:
        """The average of its runs' curves; empty where nothing was measured."""
        return average([quality_curve(run, measure, directions) for run in self.runs])


def group_runs(runs: Sequence[Run]) -> list[Arm]:
    """The arms, in the order in which their first runs are given."""
    groups: dict[str, list[Run]] = {}

    for run in runs:
        groups.setdefault(_identity(run.config), []).append(run)

    names: list[str] = []

    for members in groups.values():
        name = _common_name(members)

        while name in names:
            name += "′"

        names.append(name)

    return [
        Arm(name=name, runs=members) for name, members in zip(names, groups.values(), strict=True)
    ]


def _identity(config: Mapping[str, Any]) -> str:
    common = config.get("common")

    if isinstance(common, Mapping):
        kept = {key: value for key, value in common.items() if key not in _NO_DIFFERENCE}

        config = {**config, "common": kept}

    return json.dumps(config, sort_keys=True, default=str)


def _common_name(runs: Sequence[Run]) -> str:
    names = [run.name for run in runs]

    if len(names) == 1:
        return names[0]

    # jest-1 and jest-2 are jest, and so are jest-10 and jest-11.
    start = _common_start(names).rstrip("0123456789").removesuffix("seed").rstrip("-_./ ")

    end = _common_start([name[::-1] for name in names])[::-1].lstrip("0123456789-_./ ")

    return start or end or runs[0].selector


def _common_start(names: Sequence[str]) -> str:
    columns = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))

    return "".join(letters[0] for letters in columns)
