"""Reading the JSON files that lie beside a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fairseq2_jest.models.errors import ModelError


def read_json(file: Path) -> dict[str, Any]:
    """
    :raises ModelError: There is no such file, or it does not hold one JSON object.
    """
    try:
        content = json.loads(file.read_bytes())
    except OSError as ex:
        raise ModelError(f"{file} cannot be read ({ex.strerror}): mend the path.") from ex
    except (ValueError, RecursionError) as ex:
        raise ModelError(f"{file} is not valid JSON: get the file again.") from ex

    if not isinstance(content, dict):
        raise ModelError(f"{file} does not hold a JSON object: get the file again.")

    return content
