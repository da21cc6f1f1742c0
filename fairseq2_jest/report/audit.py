"""The audit of a selection: scores of what was chosen and passed over, and some of the pairs."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fairseq2_jest.report.records import read_records
from fairseq2_jest.report.views import VIEWS

NUM_QUANTILES: Final = 11
"""The quantiles at 0, 10, ... 100 per cent."""


@dataclass(frozen=True, kw_only=True)
class ScoreQuantiles:
    """The distribution of one view's scores in a super-batch."""

    selected: tuple[float, ...]
    """Quantiles of the chosen pairs."""

    passed_over: tuple[float, ...]
    """Quantiles of the others; empty where there are none."""


@dataclass(frozen=True, kw_only=True)
class AuditedPair:
    """A candidate of a super-batch."""

    row: int
    """Its row in the corpus."""

    source: str
    """The source text."""

    target: str
    """The target text."""

    direction: str
    """Its languages, such as ``eng_Latn-deu_Latn``."""

    label: str | None
    """What a labelled corpus says of it."""

    selected: bool
    """Whether it was trained on."""

    scores: Mapping[str, float]
    """What the views say of it, by :attr:`View.key`; only those that looked at it."""

    learnability: float | None
    """The score by itself that the selector drew by, without joint terms."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What was written down of one step."""

    step: int
    """The step that trained on the choice."""

    scores: Mapping[str, ScoreQuantiles]
    """Distributions by :attr:`View.key`, of the views that the selector has."""

    pairs: Sequence[AuditedPair]
    """Some of the candidates."""


def read_audits(file: Path) -> tuple[list[Audit], int]:
    """Reads the audits of a run in order, and how many lines cannot be read.

    :raises ReportError: The file cannot be read.
    """
    records = read_records(file, "step")

    audits, num_broken = [], records.num_broken

    for record in records.lines:
        try:
            audits.append(_audit(record))
        except (KeyError, TypeError, ValueError, AttributeError):
            num_broken += 1

    return audits, num_broken


def _audit(record: dict[str, Any]) -> Audit:
    scores = {}

    for view in VIEWS:
        given = record["scores"].get(view.key)

        if given is not None:
            scores[view.key] = ScoreQuantiles(
                selected=_quantiles(given.get("selected")),
                passed_over=_quantiles(given.get("passed_over")),
            )

    return Audit(
        step=record["step"], scores=scores, pairs=[_pair(pair) for pair in record["pairs"]]
    )


def _quantiles(values: list[Any] | None) -> tuple[float, ...]:
    if not values:
        return ()

    if len(values) != NUM_QUANTILES:
        raise ValueError(f"There must be {NUM_QUANTILES} quantiles, but there are {len(values)}.")

    return tuple(float(value) for value in values)


def _pair(given: dict[str, Any]) -> AuditedPair:
    def score(name: str) -> float | None:
        value = given.get(name)

        return None if value is None else float(value)

    label = given.get("label")

    return AuditedPair(
        row=int(given["row"]),
        source=str(given["source"]),
        target=str(given["target"]),
        direction=str(given["direction"]),
        label=None if label is None else str(label),
        selected=bool(given["selected"]),
        scores={view.key: value for view in VIEWS if (value := score(view.key)) is not None},
        learnability=score("learnability"),
    )


def share_below(value: float, quantiles: Sequence[float]) -> float:
    """The share of a distribution that lies below ``value``, by its quantiles."""
    if value <= quantiles[0]:
        return 0.0

    if value > quantiles[-1]:
        return 1.0

    idx = bisect_left(quantiles, value)

    low, high = quantiles[idx - 1], quantiles[idx]

    return (idx - 1 + (value - low) / (high - low)) / (len(quantiles) - 1)


def explain(pair: AuditedPair, audit: Audit) -> str:
    """Why a pair was chosen or passed over: where its scores stand among those of the others."""
    shares = []

    for view in VIEWS:
        value, quantiles = pair.scores.get(view.key), audit.scores.get(view.key)

        if value is None or quantiles is None:
            continue

        others = quantiles.passed_over if pair.selected else quantiles.selected

        if others:
            shares.append(f"{100.0 * share_below(value, others):.0f} % ({view.name})")

    if not shares:
        return "drawn without scores" if pair.selected else "not drawn, without scores"

    group = "those passed over" if pair.selected else "the chosen"

    return f"above {' and '.join(shares)} of {group}"
