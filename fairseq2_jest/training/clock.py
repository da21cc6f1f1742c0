"""The wall-clock time of training steps, without what lies between them."""

from __future__ import annotations

import time
from typing import Any

from torch.optim import Optimizer


class StepClock:
    """Measures from the moment a step begins to be read until the optimizer has stepped.

    Validation, checkpoints and recording lie between steps and are not counted.
    """

    def __init__(self) -> None:
        self._began: float | None = None

        self.last_step = 0.0
        """The seconds of the last step that was taken; 0 before the first.

        An attempt that overflowed in fp16 is none: fairseq2 takes back what it recorded, and the
        next attempt records the same step before it.
        """

    def start(self) -> None:
        """A step begins to be read."""
        self._began = time.perf_counter()

    def attach(self, optimizer: Optimizer) -> None:
        """Ends a step when this optimizer steps."""
        optimizer.register_step_post_hook(self._stop)

    def _stop(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._began is not None:
            self.last_step = time.perf_counter() - self._began

            self._began = None
