"""Config files that name splits of the built-in corpus."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import DIRECTION


def split(name: str, **builtin: object) -> dict[str, object]:
    """A corpus of the split ``name``, as the data set's config has it."""
    return {"split": name, "direction": DIRECTION, "format": "builtin", "builtin": builtin}


def write_config(file: Path, corpora: Sequence[Mapping[str, object]]) -> Path:
    """Writes a config file with these corpora, and returns it."""
    file.parent.mkdir(parents=True, exist_ok=True)

    # JSON is YAML.
    file.write_text(
        json.dumps({"dataset": {"config_overrides": {"corpora": corpora}}}), encoding="utf-8"
    )

    return file
