"""Logs of a run's steps, one JSON line each, which a resumed run goes on with."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path


class StepLog:
    """Appends ``{"step": s, ...}`` to a file, and forgets what a resumed run redoes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, step: int, values: Mapping[str, object]) -> None:
        """Writes the line of a step."""
        self._file.parent.mkdir(parents=True, exist_ok=True)

        line = json.dumps({"step": step, **values}, ensure_ascii=False)

        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")

    def truncate(self, last_step: int) -> None:
        """Drops the lines behind ``last_step``, a line that a kill cut off included."""
        if not self._file.exists():
            return

        kept = 0

        with self._file.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n") or not 0 < _step_of(line) <= last_step:
                    break

                kept += len(line)

        with self._file.open("r+b") as stream:
            stream.truncate(kept)


def _step_of(line: bytes) -> int:
    """The step of a line, which comes first in it; 0 of a line that is damaged."""
    match = re.match(rb'\{"step": (\d+), .*\}\n', line)

    return 0 if match is None else int(match[1])


class SelectionLog(StepLog):
    """The rows that each step trained on, as ``{"step": s, "rows": [...]}``."""

    def append(self, step: int, rows: Sequence[int]) -> None:
        """Writes the rows chosen for a step, in the order they were chosen."""
        self.write(step, {"rows": list(rows)})
