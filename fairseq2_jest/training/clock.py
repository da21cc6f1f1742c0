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
        self._seconds = 0.0

    def start(self) -> None:
        """A step begins to be read."""
        self._began = time.perf_counter()

    def attach(self, optimizer: Optimizer) -> None:
        """Ends a step when this optimizer steps."""
        optimizer.register_step_post_hook(self._stop)

    def _stop(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._began is not None:
            self._seconds += time.perf_counter() - self._began

            self._began = None

    def take(self) -> float:
        """Returns the seconds since the last call, and starts again from zero."""
        seconds, self._seconds = self._seconds, 0.0

        return seconds
