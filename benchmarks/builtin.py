"""Config files that name splits of the built-in corpus."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import DIRECTION
from benchmarks.configs import write_config


def split(name: str, **builtin: object) -> dict[str, object]:
    """A corpus of the split ``name``, as the data set's config has it."""
    return {"split": name, "direction": DIRECTION, "format": "builtin", "builtin": builtin}


def write_corpora(file: Path, corpora: Sequence[Mapping[str, object]]) -> Path:
    """Writes a config file with these corpora, and returns it."""
    return write_config(file, {"dataset": {"config_overrides": {"corpora": corpora}}})
