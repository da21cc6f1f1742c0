"""The folder that holds everything this package can make again."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

CACHE_DIR_VARIABLE = "FAIRSEQ2_JEST_CACHE_DIR"
"""The environment variable that names the cache folder outright."""


def cache_dir() -> Path:
    """Return the cache folder as an absolute path, without creating it.

    ``$FAIRSEQ2_JEST_CACHE_DIR`` if set, else ``$XDG_CACHE_HOME/fairseq2_jest``, else
    ``~/.cache/fairseq2_jest``. The environment is read at each call, so that a test or a
    recipe may redirect it.
    """
    if own := os.environ.get(CACHE_DIR_VARIABLE):
        return Path(own).expanduser().absolute()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser().absolute() / "fairseq2_jest"
    return Path.home() / ".cache" / "fairseq2_jest"


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Return ``folder``, letting ``build`` fill it first if it does not exist.

    ``build`` writes into a folder of its own beside ``folder``, which is renamed at the end:
    what stands under the final name is complete, even after a kill. Processes that want the
    same folder at the same time wait for the first one instead of building it again.

    :raises OSError: The cache cannot be written.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        if folder.is_dir():
            return folder
        scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            build(scratch)
            # mkdtemp makes a private folder; the result is as shared as its parent.
            scratch.chmod(folder.parent.stat().st_mode & 0o777)
            scratch.rename(folder)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    return folder
