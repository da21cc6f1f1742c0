"""Which COMET model scores, and where it runs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fairseq2.utils.validation import Validatable, ValidationResult


@dataclass(frozen=True, kw_only=True)
class CometConfig(Validatable):
    """Configures the process that runs COMET.

    The model is loaded with torch's weights-only unpickler. Tokenizer and shape of its encoder come
    from where the checkpoint says, mostly the Hugging Face hub.
    """

    model: str = "Unbabel/wmt22-comet-da"
    """Its name on the Hugging Face hub, its folder, or its ``.ckpt`` file, with ``hparams.yaml``
    where COMET has it: in the folder above that of the file."""

    revision: str | None = None
    """The commit, branch or tag on the hub; ``None`` for the newest."""

    python: Path | None = None
    """The interpreter of COMET's environment. If ``None``: ``$FAIRSEQ2_JEST_COMET_PYTHON``, else
    this one."""

    version: str | None = None
    """The version of unbabel-comet that must be there, such as ``2.2.7``; ``None`` for any 2.x."""

    precision: Literal["fp16", "bf16", "fp32"] = "fp16"
    """What weights are rounded to; COMET's own ``comet-score`` has them in ``fp16``."""

    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` for the first GPU where there is one."""

    batch_size: int = 16
    """How many translations are scored at once."""

    trust_checkpoint: bool = False
    """Whether a checkpoint that holds more than weights is loaded: that runs code in it, and is for
    files that you made yourself."""

    start_timeout: float = 3600.0
    """How many seconds downloading and loading the model may take."""

    score_timeout: float = 3600.0
    """How many seconds scoring the translations of one system may take."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if not self.model:
            result.add_error("`model` must not be empty.")
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?", self.device):
            result.add_error(
                f"`device` must be auto, cpu, cuda or cuda:<index>, but is {self.device}."
            )
        if self.batch_size < 1:
            result.add_error(f"`batch_size` must be at least 1, but is {self.batch_size}.")
        for name in ("start_timeout", "score_timeout"):
            if not getattr(self, name) > 0.0:
                result.add_error(f"`{name}` must be positive, but is {getattr(self, name)}.")

        return result
