"""How much of a text comes back when it is translated there and back."""

from __future__ import annotations

from sacrebleu.metrics.chrf import CHRF


class RoundTripScore:
    """chrF++ of a sentence, from 0 to 100, as ``sacrebleu --sentence-level`` has it."""

    def __init__(self) -> None:
        self._metric = CHRF(word_order=2)

    def __call__(self, round_trip: str, text: str) -> float:
        score: float = self._metric.sentence_score(round_trip, [text]).score

        return score
