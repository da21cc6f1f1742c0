"""The interpreter that COMET's process runs under, and its environment."""

from __future__ import annotations

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fairseq2_jest.evaluation.comet.config import CometConfig
from fairseq2_jest.evaluation.errors import EvaluationError

PYTHON_VARIABLE: Final = "FAIRSEQ2_JEST_COMET_PYTHON"
"""The environment variable that names COMET's interpreter."""

# Of torchrun and SLURM, by which Lightning would wait for other ranks, and of this interpreter.
_WITHHELD: Final = re.compile(
    r"(LOCAL_|GROUP_|ROLE_)?(RANK|WORLD_SIZE)|MASTER_(ADDR|PORT)|ROLE_NAME|"
    r"(TORCHELASTIC|SLURM|PMI|PMIX|OMPI)_.*|NODE_RANK|PYTHON(PATH|HOME)"
)


def find_interpreter(config: CometConfig, field: str) -> Path:
    """
    :param field: Where ``config`` stands, for messages.

    :raises EvaluationError: There is none.
    """
    variable = os.environ.get(PYTHON_VARIABLE)

    if config.python is None and not variable:
        spec = find_spec("comet")

        # A folder of this name in the current directory has no origin.
        if spec is not None and spec.origin is not None:
            return Path(sys.executable)

        raise EvaluationError(
            f"{field} asks for COMET, which this Python does not have: make an environment for it "
            f"(make comet, or as the README says), and name its interpreter in {field}.python."
        )

    source = PYTHON_VARIABLE if config.python is None else f"{field}.python"

    # Not resolved: the interpreter of a virtual environment is a link, and known by its place.
    path = Path(config.python or variable or "").expanduser().absolute()

    if not (path.is_file() and os.access(path, os.X_OK)):
        raise EvaluationError(
            f"{source} is {path}, which is no program: name the interpreter of an environment with "
            "COMET (make comet makes .comet/bin/python)."
        )

    return path


def worker_environment() -> dict[str, str]:
    """What COMET's process is given of the environment."""
    return {name: text for name, text in os.environ.items() if not _WITHHELD.fullmatch(name)}
