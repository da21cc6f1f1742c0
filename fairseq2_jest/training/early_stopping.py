"""Stopping when the score no longer rises; fairseq2 0.8 has the interface, but wires a no-op."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

# fairseq2.trainer cannot be imported first.
import fairseq2.recipe.base  # noqa: F401
from fairseq2.early_stopper import EarlyStopper
from fairseq2.trainer import Trainer
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.files import write_json
from fairseq2_jest.training.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class EarlyStoppingConfig(Validatable):
    """Configures when a run ends before its last step."""

    patience: int | None = None
    """
    The number of validations in a row without a better ``regime.score_metric`` after which the run
    ends; ``None`` never ends it.
    """

    min_improvement: float = 0.0
    """By how much a score must be better to count."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.patience is not None and self.patience < 1:
            result.add_error(f"`patience` must be at least 1, but is {self.patience}.")
        if not 0.0 <= self.min_improvement < math.inf:
            result.add_error(
                f"`min_improvement` must be at least 0, but is {self.min_improvement}."
            )

        return result


class PatienceEarlyStopper(EarlyStopper):
    """Counts validations since the best score, from a history kept in a file.

    The history is keyed by step: a run that resumes from an earlier step forgets what lies behind
    it, so patience survives a kill and nothing counts twice.
    """

    def __init__(self, patience: int, min_improvement: float, file: Path) -> None:
        """
        :param file: A JSON file that maps steps to scores, made on the first validation.

        :raises TrainingError: It is there, and cannot be read or is damaged.
        """
        self._patience = patience
        self._min_improvement = min_improvement
        self._file = file
        self._history = _read_history(file)

    @override
    def should_stop(self, step_nr: int, score: float) -> bool:
        self._history = {step: value for step, value in self._history.items() if step < step_nr}

        self._history[step_nr] = score

        write_json(self._file, self._history)

        return self._has_waited()

    def has_stopped(self, step_nr: int) -> bool:
        """Whether the run that is at ``step_nr`` has ended there."""
        return max(self._history, default=None) == step_nr and self._has_waited()

    def _has_waited(self) -> bool:
        best, waited = -math.inf, 0

        for _, value in sorted(self._history.items()):
            if value > best + self._min_improvement:
                best, waited = value, 0
            else:
                waited += 1

        return waited >= self._patience


def _read_history(file: Path) -> dict[int, float]:
    try:
        history = json.loads(file.read_text(encoding="utf-8"))

        return {int(step): float(score) for step, score in history.items()}
    except FileNotFoundError:
        return {}
    except OSError as ex:
        raise TrainingError(f"{file} cannot be read ({ex.strerror}); mend its permissions.") from ex
    except (ValueError, TypeError, AttributeError, RecursionError) as ex:
        raise TrainingError(
            f"{file} is damaged; restore it, or delete it to count early_stopping.patience from "
            "the next validation."
        ) from ex


def set_early_stopper(trainer: Trainer, stopper: EarlyStopper) -> None:
    """Gives a trainer its early stopper.

    fairseq2 0.8's trainer takes one, but its factory always passes the no-op, and a stop requested
    from outside is not looked at where ``num_steps`` is set; hence the private attribute.
    """
    trainer._early_stopper = stopper
