"""Config files for `fairseq2 mt`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fairseq2_jest.files import write_json


def write_config(file: Path, config: Mapping[str, object]) -> Path:
    """Writes a config file, and returns it."""
    file.parent.mkdir(parents=True, exist_ok=True)

    # JSON is YAML.
    write_json(file, config)

    return file
