"""Writing a report: the page, its figures and its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fairseq2_jest.files import write_text
from fairseq2_jest.report.collect import Report, collect
from fairseq2_jest.report.numbers import to_json
from fairseq2_jest.report.page import render

PAGE = "report.html"


def write_report(
    out: Path,
    paths: Sequence[Path],
    *,
    baseline: Path | None = None,
    targets: Mapping[str, float] | None = None,
) -> Report:
    """Compares the runs at ``paths``, and writes ``report.html``, ``report.json`` and PNG files.

    :param out: The folder to write to, which is made; what it holds of an earlier report is
        replaced.
    :param baseline: The run to compare to; see :func:`fairseq2_jest.report.collect.collect`.
    :param targets: Qualities to be reached, by key of a measure.
    :raises ReportError: There is nothing to report on.
    :raises OSError: ``out`` cannot be written.
    """
    report = collect(paths, baseline=baseline, targets=targets)

    out.mkdir(parents=True, exist_ok=True)

    page = render(report, out)

    write_text(out / "report.json", to_json(report) + "\n")
    write_text(out / PAGE, page)

    return report
