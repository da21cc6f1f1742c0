"""What an evaluation found, as numbers and as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fairseq2_jest import __version__
from fairseq2_jest.evaluation.overlap import Overlap
from fairseq2_jest.evaluation.significance import TEST_NAMES, MetricScores, SystemScore

_SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class TextFile:
    """A file of texts, one for each line of the test set."""

    path: Path
    """Where it is."""

    sha256: str
    """Of its bytes."""

    texts: Sequence[str]
    """What was read."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Scores of all systems, and all that decides them."""

    direction: str
    """Such as ``eng_Latn-deu_Latn``."""

    systems: Mapping[str, TextFile]
    """The translations by the name of the system; the first is what the others are tested
    against."""

    references: Sequence[TextFile]
    """At least one."""

    source: TextFile | None
    """What was translated, where it is known."""

    metrics: Sequence[MetricScores]
    """The scores."""

    test: str | None
    """A key of :data:`TEST_NAMES`; ``None`` where nothing was tested."""

    overlap: Overlap | None
    """What of the test set is in the training data; ``None`` where that was not looked for."""

    @property
    def num_lines(self) -> int:
        """The lines of the test set."""
        return len(self.references[0].texts)

    @property
    def baseline(self) -> str:
        """The name of the first system."""
        return next(iter(self.systems))

    def notes(self) -> list[str]:
        """What a reader of the scores must know beside them, in sentences."""
        notes = []

        if self.test is not None:
            notes.append(
                f"± is half of the interval that holds 95 % of the resamples, p by "
                f"{TEST_NAMES[self.test]} against {self.baseline}; * where p < {_SIGNIFICANT}."
                if self.test == "bootstrap"
                else f"p by {TEST_NAMES[self.test]} against {self.baseline}; "
                f"* where p < {_SIGNIFICANT}."
            )

        same = [n for n, f in self.systems.items() if f.texts == self.systems[self.baseline].texts]

        if len(same) > 1:
            notes.append(
                f"{' and '.join(same[1:])} {'says' if len(same) == 2 else 'say'} the same as "
                f"{same[0]} in every line: a p-value says nothing there."
            )

        if len(self.references) > 1 and any(m.name == "COMET" for m in self.metrics):
            notes.append(f"COMET is given the first reference only, {self.references[0].path}.")

        notes.append(self._overlap_note())

        return notes

    def _overlap_note(self) -> str:
        overlap = self.overlap

        if overlap is None:
            return "Whether the test set overlaps the training data was not looked for (dataset)."

        parts = []

        for name, lines in (
            ("pairs", overlap.pairs),
            ("sources", overlap.sources),
            ("references", overlap.references),
        ):
            if lines is not None:
                share = len(lines) / overlap.num_lines

                parts.append(f"{len(lines):,} {name} ({share:.1%})")

        return (
            f"Of {overlap.num_lines:,} test lines, {', '.join(parts)} are word for word in the "
            f"training data of {overlap.num_training_pairs:,} pairs."
        )

    def to_json(self) -> str:
        """All numbers, as they were computed; lines are counted from 1."""

        def file(entry: TextFile) -> dict[str, str]:
            return {"file": str(entry.path), "sha256": entry.sha256}

        values = {
            "fairseq2_jest": __version__,
            "direction": self.direction,
            "lines": self.num_lines,
            "systems": {name: file(entry) for name, entry in self.systems.items()},
            "references": [file(entry) for entry in self.references],
            "source": None if self.source is None else file(self.source),
            "test": self.test,
            "metrics": [asdict(metric) for metric in self.metrics],
            "overlap": None if self.overlap is None else asdict(self.overlap),
            "notes": self.notes(),
        }

        return json.dumps(values, ensure_ascii=False, indent=1, allow_nan=False)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """The heads and the rows of the table of scores."""
        heads = ["system", *(f"{m.name}{'' if m.more_is_better else ' ↓'}" for m in self.metrics)]

        rows = [
            [name, *(_cell(m.systems[name], _digits(m)) for m in self.metrics)]
            for name in self.systems
        ]

        return heads, rows

    def signatures(self) -> list[str]:
        """The signature of each metric, with that of its test."""
        return [f"{m.name}|{m.test_signature or m.signature}" for m in self.metrics]


def _digits(metric: MetricScores) -> int:
    """The decimals that mean something."""
    return 4 if metric.name == "COMET" else 2


def _cell(found: SystemScore, digits: int) -> str:
    text = f"{found.score:.{digits}f}"

    if found.confidence is not None:
        text += f" ± {found.confidence:.{digits}f}"

    if found.p_value is not None:
        text += f" (p = {found.p_value:.4f}){'*' if found.p_value < _SIGNIFICANT else ''}"

    return text
