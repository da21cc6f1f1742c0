"""libsndfile, without which fairseq2n does not import, from inside the soundfile wheel."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec
from pathlib import Path
from typing import Final

LIBRARY: Final = "libsndfile.so.1"


def bundled_library() -> Path | None:
    """The library inside the soundfile wheel, if it has one; its name depends on the machine."""
    spec = find_spec("_soundfile_data")

    if spec is None or spec.origin is None:
        return None

    return next(iter(sorted(Path(spec.origin).parent.glob("libsndfile*.so*"))), None)


def has_library() -> bool:
    """Whether the dynamic linker finds the library, on the system or loaded already."""
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False

    return True


def preload() -> None:
    """Load the bundled library where the system has none; its soname is the one looked for."""
    if not has_library() and (library := bundled_library()) is not None:
        ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
