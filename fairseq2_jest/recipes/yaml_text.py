"""YAML that people read."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any

from ruamel.yaml import YAML


def to_yaml(content: Mapping[str, Any]) -> str:
    """In block style, keys in their order; plain values only."""
    stream = StringIO()

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    # ruamel.yaml annotates it by its default, which is None.
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(dict(content), stream)

    return stream.getvalue()
