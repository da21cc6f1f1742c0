"""The log of what was chosen: one JSON line per step with its rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path


class SelectionLog:
    """Appends ``{"step": s, "rows": [...]}`` to a file, and forgets what a resumed run redoes."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def append(self, step: int, rows: Sequence[int]) -> None:
        """Writes the rows chosen for a step, in the order they were chosen."""
        self._file.parent.mkdir(parents=True, exist_ok=True)

        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"step": step, "rows": list(rows)}) + "\n")

    def truncate(self, last_step: int) -> None:
        """Drops the lines behind ``last_step``, a line that a kill cut off included."""
        if not self._file.exists():
            return

        kept = 0

        with self._file.open("rb") as lines:
            for line in lines:
                if not line.endswith(b"\n") or json.loads(line)["step"] > last_step:
                    break

                kept += len(line)

        with self._file.open("r+b") as stream:
            stream.truncate(kept)
