"""``fairseq2 mt report``: comparing runs. It imports neither fairseq2 nor torch."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from fairseq2_jest.cli.arguments import report_parser
from fairseq2_jest.cli.near import did_you_mean, near_names
from fairseq2_jest.cli.output import check_writable
from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.report.errors import ReportError


def run(args: Sequence[str]) -> None:
    """Write a report of the runs that ``args`` name.

    :raises UsageError: There is no run to report on, or an argument has a fault.
    """
    options = report_parser().parse_args(args)

    targets = _parse_targets(options.targets)

    for path in [*options.runs, *([options.baseline] if options.baseline else [])]:
        _check_exists(path)

    out: Path = options.output_dir

    # Typed without OUT, the first run would be written into.
    if (out / "config.yaml").exists():
        raise UsageError(f"{out} is a run itself; name a directory for the report before the runs.")

    check_writable(out, "The output directory")

    # matplotlib is imported behind this.
    from fairseq2_jest.report.write import PAGE, write_report

    try:
        report = write_report(out, options.runs, baseline=options.baseline, targets=targets)
    except ReportError as ex:
        raise UsageError(str(ex)) from ex
    except OSError as ex:
        raise UsageError(f"{ex.filename or out} cannot be written ({ex.strerror}).") from ex

    for note in report.notes:
        print(note, file=sys.stderr)

    num_runs = len(report.runs)

    runs = "1 run is" if num_runs == 1 else f"{num_runs} runs are"

    print(f"{runs} compared in {out / PAGE}.")


def _parse_targets(items: Sequence[str]) -> dict[str, float]:
    from fairseq2_jest.report.measures import MEASURES

    known = [measure.key for measure in MEASURES]

    targets = {}

    for item in items:
        name, sign, text = item.partition("=")

        if not sign:
            raise UsageError(
                f"--target takes NAME=VALUE pairs, and {item} is none; runs go before --target."
            )

        if name not in known:
            raise UsageError(f"{name} is not a measure{did_you_mean(name, known)}")

        try:
            value = float(text)
        except ValueError:
            value = math.nan

        if not math.isfinite(value):
            raise UsageError(f"--target {name} must be a number, but is {text or 'empty'}.")

        targets[name] = value

    return targets


def _check_exists(path: Path) -> None:
    if path.exists():
        return

    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []

    if near := near_names(path.name, beside):
        mend = f"did you mean {' or '.join(str(path.parent / name) for name in near)}?"
    else:
        mend = f"mend the path (relative paths start from {Path.cwd()})."

    raise UsageError(f"The run {path} does not exist; {mend}")
