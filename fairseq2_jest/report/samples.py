"""Which of the audited pairs a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fairseq2_jest.report.audit import Audit, AuditedPair
from fairseq2_jest.report.runs import Run

MAX_STEPS: Final = 3
"""The audited steps of a run that are shown: the first, the last, and those between."""

MAX_PAIRS: Final = 12
"""The pairs of a step that are shown, of those chosen and of those passed over each."""


def audited_pairs(run: Run) -> list[tuple[Audit, list[AuditedPair]]]:
    """The audits of a run to be shown, with pairs: the chosen ones first, by learnability."""
    shown = []

    for audit in _spread(run.audits):
        chosen = _sample([pair for pair in audit.pairs if pair.selected])

        passed_over = _sample([pair for pair in audit.pairs if not pair.selected])

        if pairs := [*chosen, *passed_over]:
            shown.append((audit, pairs))

    return shown


def _spread(audits: Sequence[Audit]) -> list[Audit]:
    last = len(audits) - 1

    if last < MAX_STEPS:
        return list(audits)

    return [audits[last * idx // (MAX_STEPS - 1)] for idx in range(MAX_STEPS)]


def _sample(pairs: Sequence[AuditedPair]) -> list[AuditedPair]:
    """The first ones, which the run drew at random, in order of their learnability."""

    def unlearnable(pair: AuditedPair) -> float:
        return float("inf") if pair.learnability is None else -pair.learnability

    return sorted(pairs[:MAX_PAIRS], key=unlearnable)
