"""Reading files of JSON lines that a run may be writing, or was killed in the middle of writing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairseq2_jest.report.errors import ReportError


@dataclass(frozen=True, kw_only=True)
class Records:
    """The lines of one file that can be read."""

    lines: list[dict[str, Any]]
    """The records, in order of their steps, each step once."""

    num_broken: int
    """Lines left out: a kill in the middle of a line leaves one that is cut off."""


def read_records(file: Path, step_name: str) -> Records:
    """Reads the records of a file; there are none where the file does not exist.

    A run that was resumed from a checkpoint records the steps behind it again. What it recorded of
    them before is left out, as the run itself has forgotten it.

    :param step_name: The key that holds the step.
    :raises ReportError: The file cannot be read.
    """
    try:
        text = file.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return Records(lines=[], num_broken=0)
    except OSError as ex:
        raise ReportError(f"{file} cannot be read ({ex.strerror}); mend its permissions.") from ex

    lines: list[dict[str, Any]] = []

    num_broken = 0

    for line in text.split("\n"):
        if not line.strip():
            continue

        record = _parse(line)

        if record is None or not isinstance(record.get(step_name), int):
            num_broken += 1

            continue

        while lines and lines[-1][step_name] >= record[step_name]:
            lines.pop()

        lines.append(record)

    return Records(lines=lines, num_broken=num_broken)


def _parse(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None

    return record if isinstance(record, dict) else None


def number(record: dict[str, Any], name: str) -> float | None:
    """A figure of a record, which may not be finite; ``None`` where it has none."""
    value = record.get(name)

    return float(value) if isinstance(value, (int, float)) else None
