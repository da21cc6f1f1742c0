"""Why pairs were chosen or passed over, for people to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fairseq2.utils.validation import Validatable, ValidationResult
from numpy.typing import NDArray
from torch import Tensor

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.selection.log import StepLog
from fairseq2_jest.selection.metrics import scores_of
from fairseq2_jest.selection.selector import Selection, SuperBatch


@dataclass(frozen=True, kw_only=True)
class AuditConfig(Validatable):
    """Configures the audit of what is chosen, ``selection_audit.jsonl`` in the output directory."""

    every_n_steps: int | None = 50
    """How often a step is audited; ``None`` for never."""

    num_pairs: int = 8
    """How many chosen pairs are written out, and how many that were passed over."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.every_n_steps is not None and self.every_n_steps < 1:
            result.add_error(f"`every_n_steps` must be at least 1, but is {self.every_n_steps}.")
        if self.num_pairs < 0:
            result.add_error(f"`num_pairs` must not be negative, but is {self.num_pairs}.")

        return result


class SelectionAudit:
    """Writes quantiles of every score, of chosen and passed over, and some of the pairs.

    The pairs are the first that were chosen, and of those passed over half the most and half the
    least learnable, where the selector says how learnable they are.
    """

    def __init__(self, config: AuditConfig, file: Path, corpus: Corpus) -> None:
        self._config = config
        self._log = StepLog(file)
        self._corpus = corpus

    def truncate(self, last_step: int) -> None:
        """Drops what lies behind ``last_step``."""
        self._log.truncate(last_step)

    def record(
        self,
        step: int,
        rows: NDArray[np.int64],
        super_batch: SuperBatch,
        selection: Selection,
    ) -> None:
        """Writes the line of a step, if it is one that is audited.

        :param rows: The rows of the candidates. *Shape:* ``(N)``.
        """
        every = self._config.every_n_steps

        if every is None or step % every != 0:
            return

        chosen = torch.zeros(super_batch.num_rows, dtype=torch.bool)
        chosen[selection.indices.cpu()] = True

        # Scores by place; what a view has not looked at is not a number.
        columns = {
            name.removesuffix("_score"): _spread(scores, places, super_batch.num_rows)
            for name, (scores, places) in scores_of(super_batch).items()
        }

        quantiles = {
            name: {
                "selected": _quantiles(column[chosen]),
                "passed_over": _quantiles(column[~chosen]),
            }
            for name, column in columns.items()
        }

        if selection.learnability is not None:
            listed = super_batch.places(torch.arange(len(selection.learnability)))

            columns["learnability"] = _spread(
                selection.learnability.cpu(), listed.cpu(), super_batch.num_rows
            )

        places = self._places(selection, chosen, columns.get("learnability"))

        self._log.write(
            step, {"scores": quantiles, "pairs": self._pairs(rows, places, chosen, columns)}
        )

    def _places(
        self, selection: Selection, chosen: Tensor, learnability: Tensor | None
    ) -> list[int]:
        num_pairs = self._config.num_pairs

        passed_over = (~chosen).nonzero().squeeze(1)

        if learnability is not None:
            # Those beyond the shortlist, of no learnability, come last.
            order = learnability[passed_over].nan_to_num(nan=-torch.inf).argsort(descending=True)

            passed_over = passed_over[order]

        num_best = min(len(passed_over), num_pairs) // 2

        best = passed_over[:num_best]
        worst = passed_over[max(num_best, len(passed_over) - (num_pairs - num_best)) :]

        return [*selection.indices[:num_pairs].tolist(), *best.tolist(), *worst.tolist()]

    def _pairs(
        self,
        rows: NDArray[np.int64],
        places: list[int],
        chosen: Tensor,
        columns: dict[str, Tensor],
    ) -> list[dict[str, object]]:
        wanted = rows[places]

        sources, targets = self._corpus.texts(wanted)

        directions = self._corpus.direction_index(wanted)

        return [
            {
                "row": int(row),
                "source": source,
                "target": target,
                "direction": str(self._corpus.directions[direction]),
                "label": label,
                "selected": bool(chosen[place]),
                **{name: _number(column[place]) for name, column in columns.items()},
            }
            for place, row, source, target, direction, label in zip(
                places,
                wanted,
                sources,
                targets,
                directions,
                self._corpus.labels(wanted),
                strict=True,
            )
        ]


def _spread(scores: Tensor, places: Tensor, num_rows: int) -> Tensor:
    column = torch.full((num_rows,), torch.nan)
    column[places] = scores.float()

    return column


def _quantiles(scores: Tensor) -> list[float]:
    """From the least to the greatest in tenths; none where there is no score."""
    scores = scores[~scores.isnan()]

    if len(scores) == 0:
        return []

    return [round(q, 4) for q in np.quantile(scores.numpy(), np.linspace(0.0, 1.0, 11)).tolist()]


def _number(score: Tensor) -> float | None:
    return None if bool(score.isnan()) else round(float(score), 4)
