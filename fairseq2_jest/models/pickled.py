"""Reading weights out of a pickle without running what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch.serialization import safe_globals

from fairseq2_jest.models.errors import ModelError


def load_pickled(file: Path, allowed: Sequence[type | tuple[Any, str]] = ()) -> dict[str, Any]:
    """Loads tensors and plain values onto the CPU with torch's weights-only unpickler.

    :param allowed: Types beside those of torch's own list that the file may hold.

    :raises ModelError: The file holds anything else, none of which is run, or is damaged.
    """
    try:
        with safe_globals(list(allowed)):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as ex:
        raise ModelError(f"{file} cannot be read ({ex.strerror}): mend the path.") from ex
    except Exception as ex:  # A damaged pickle can end in nearly any.
        raise ModelError(
            f"{file} is damaged, or holds more than weights, which is never loaded: save it as "
            f"safetensors where you trust it."
        ) from ex

    if not isinstance(content, dict):
        raise ModelError(f"{file} does not hold the weights of a model: name another.")

    return content
