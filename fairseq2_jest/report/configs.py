"""In which keys the configs of arms differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairseq2_jest.report.arms import Arm
from fairseq2_jest.report.units import MISSING


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A key that is not the same everywhere."""

    key: str
    """Its path, such as ``batch_selector.config.filter_ratio``."""

    values: Sequence[str]
    """Its value in each arm; those of several seeds with commas between."""


def find_differences(arms: Sequence[Arm]) -> list[Difference]:
    """The keys whose values differ between any two runs, in the order of the configs."""
    flat = [[dict(_flatten(run.config)) for run in arm.runs] for arm in arms]

    keys = dict.fromkeys(key for runs in flat for values in runs for key in values)

    differences = []

    for key in keys:
        values = [[run.get(key, MISSING) for run in runs] for runs in flat]

        if len({value for arm in values for value in arm}) > 1:
            texts = [", ".join(dict.fromkeys(arm)) for arm in values]

            differences.append(Difference(key=key, values=texts))

    return differences


def _flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in config.items():
        path = f"{prefix}{key}"

        if isinstance(value, Mapping) and value:
            yield from _flatten(value, f"{path}.")
        elif isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            yield from _flatten({str(idx): item for idx, item in enumerate(value)}, f"{path}.")
        else:
            yield path, _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value

    return json.dumps(value, ensure_ascii=False, default=str)
