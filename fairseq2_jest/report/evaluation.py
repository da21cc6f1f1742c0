"""The page of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence

from fairseq2_jest.evaluation.result import Evaluation
from fairseq2_jest.report.html import Column, Section, bullets, page, table
from fairseq2_jest.report.units import format_share

_MAX_LISTED = 100


def render_evaluation(evaluation: Evaluation) -> str:
    """The page: scores, what decides them, overlap with the training data, and the files."""
    heads, rows = evaluation.table()

    columns = [Column(title=heads[0], kind="word"), *(Column(title=head) for head in heads[1:])]

    scores = [
        table(f"Scores over {evaluation.num_lines:,} lines.", columns, rows),
        bullets(evaluation.notes()),
    ]

    sections: list[Section] = [
        ("scores", "Scores", scores),
        ("signatures", "Signatures", [bullets(evaluation.signatures())]),
        ("overlap", "Test lines in the training data", _overlap(evaluation)),
        ("files", "Files", [_files(evaluation)]),
    ]

    names, num_references = list(evaluation.systems), len(evaluation.references)

    return page(
        f"Evaluation: {', '.join(names) if len(names) <= 4 else f'{len(names)} systems'}",
        f"{evaluation.direction}, {evaluation.num_lines:,} lines, "
        f"{num_references} {'reference' if num_references == 1 else 'references'}.",
        sections,
        "The numbers are in evaluate.json beside this page.",
    )


def _overlap(evaluation: Evaluation) -> list[str]:
    overlap = evaluation.overlap

    if overlap is None:
        return []

    columns = [
        Column(title="what", kind="word"),
        Column(title="lines"),
        Column(title="share"),
        Column(title="which", kind="text"),
    ]

    kinds = {
        "source and reference": overlap.pairs,
        "source": overlap.sources,
        "reference": overlap.references,
    }

    rows = [
        [kind, f"{len(lines):,}", format_share(len(lines) / overlap.num_lines), _listed(lines)]
        for kind, lines in kinds.items()
        if lines is not None
    ]

    caption = f"Looked for word for word in {overlap.num_training_pairs:,} training pairs."

    return [table(caption, columns, rows)]


def _listed(lines: Sequence[int]) -> str:
    shown = ", ".join(map(str, lines[:_MAX_LISTED]))

    return shown if len(lines) <= _MAX_LISTED else f"{shown}, ... (all are in evaluate.json)"


def _files(evaluation: Evaluation) -> str:
    columns = [
        Column(title="what", kind="word"),
        Column(title="file", kind="text"),
        Column(title="SHA-256", kind="text"),
    ]

    entries = [
        *((f"system {name}", file) for name, file in evaluation.systems.items()),
        *((f"reference {number}", f) for number, f in enumerate(evaluation.references, start=1)),
        *([] if evaluation.source is None else [("source", evaluation.source)]),
    ]

    rows = [[what, str(file.path), file.sha256] for what, file in entries]

    return table("What was read.", columns, rows)
