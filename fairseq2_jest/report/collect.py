"""All that a report says, as data: the page and ``report.json`` are two forms of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fairseq2_jest.report.arms import Arm, group_runs
from fairseq2_jest.report.break_even import BreakEven, find_break_evens
from fairseq2_jest.report.configs import Difference, find_differences
from fairseq2_jest.report.errors import ReportError
from fairseq2_jest.report.runs import Run, find_folder, name_runs, read_run
from fairseq2_jest.report.targets import Target, find_targets


@dataclass(frozen=True, kw_only=True)
class Report:
    """The comparison of some runs."""

    arms: Sequence[Arm]
    """The runs, grouped."""

    baseline: Arm
    """What the others are compared to."""

    directions: Sequence[str]
    """The directions that runs are judged in; figures are averages over them."""

    targets: Sequence[Target]
    """When each arm was as good as some target."""

    break_evens: Sequence[BreakEven]
    """When selecting has paid for itself."""

    differences: Sequence[Difference]
    """Where the configs differ."""

    notes: Sequence[str]
    """Sentences on what is missing or does not compare."""

    @property
    def runs(self) -> list[Run]:
        """The runs in the order of their arms."""
        return [run for arm in self.arms for run in arm.runs]


def collect(
    paths: Sequence[Path],
    *,
    baseline: Path | None = None,
    targets: Mapping[str, float] | None = None,
) -> Report:
    """Reads the runs at ``paths`` and compares them.

    :param baseline: The run to compare to, which is one of ``paths``; by default the first that
        does not select (``iid``), else the first.
    :param targets: Qualities to be reached, by key of a measure; by default those that the baseline
        ends with.
    :raises ReportError: There is nothing to report on, or the baseline is not among the runs.
    """
    runs, notes = _read_runs(paths)

    arms = group_runs(runs)

    chosen = _find_baseline(arms, baseline)

    directions = _shared_directions(runs, notes)

    for run in runs:
        notes += _notes_on(run)

    notes += _notes_on_validation(runs, directions)

    return Report(
        arms=arms,
        baseline=chosen,
        directions=directions,
        targets=find_targets(arms, chosen, directions, targets or {}),
        break_evens=find_break_evens(arms, chosen, directions),
        differences=find_differences(arms),
        notes=notes,
    )


def _read_runs(paths: Sequence[Path]) -> tuple[list[Run], list[str]]:
    runs: dict[Path, Run] = {}

    notes = []

    for path in paths:
        try:
            folder = find_folder(path)

            if folder.resolve() not in runs:
                runs[folder.resolve()] = read_run(folder)
        except ReportError as ex:
            notes.append(f"Left out: {ex}")

    if not runs:
        reasons = " ".join(note.removeprefix("Left out: ") for note in notes[:3])

        raise ReportError(f"There is no run to report on. {reasons}".rstrip())

    names = name_runs(list(runs))

    # Only what is a run takes part in finding names.
    named = [replace(run, name=name) for run, name in zip(runs.values(), names, strict=True)]

    return named, notes


def _find_baseline(arms: Sequence[Arm], path: Path | None) -> Arm:
    if path is None:
        plain = [arm for arm in arms if arm.runs[0].selector == "iid"]

        return (plain or list(arms))[0]

    folder = find_folder(path).resolve()

    for arm in arms:
        if any(run.folder.resolve() == folder for run in arm.runs):
            return arm

    names = ", ".join(run.name for arm in arms for run in arm.runs)

    raise ReportError(f"The baseline {path} is not among the runs ({names}); name one of them.")


def _shared_directions(runs: Sequence[Run], notes: list[str]) -> list[str]:
    validated = [set(run.validations) for run in runs if run.validations]

    if not validated:
        notes.append("No run has a validation: there is no quality to compare.")

        return []

    shared, known = set.intersection(*validated), set.union(*validated)

    if not shared:
        # No average over directions would be of all runs: the first direction is as good as any.
        most = max(sorted(known), key=lambda d: sum(d in directions for directions in validated))

        notes.append(
            f"No direction was validated by all runs; they are judged by {most}, which some lack."
        )

        return [most]

    if others := sorted(known - shared):
        notes.append(f"Not validated by all runs, hence not compared: {', '.join(others)}.")

    return sorted(shared)


def _notes_on(run: Run) -> list[str]:
    notes = []

    if run.num_steps is not None and run.steps < run.num_steps:
        notes.append(
            f"{run.name} has recorded {run.steps:,} of {run.num_steps:,} steps: it is still "
            "running, or was stopped."
        )

    if not run.validations:
        notes.append(f"{run.name} has no validation.")

    if run.num_broken:
        lines = "line that cannot be" if run.num_broken == 1 else "lines that cannot be"

        notes.append(
            f"{run.name} has {run.num_broken} {lines} read and was left out, as a run leaves it "
            "that is killed while it writes."
        )

    values = [point.loss for point in run.training]

    values += [v for points in run.validations.values() for p in points for v in p.scores.values()]

    if not all(map(math.isfinite, values)):
        notes.append(f"{run.name} has figures that are no finite number: it may have diverged.")

    return notes


def _notes_on_validation(runs: Sequence[Run], directions: Sequence[str]) -> list[str]:
    notes = []

    for direction in directions:
        sizes: dict[float, list[str]] = {}

        for run in runs:
            for validation in run.validations.get(direction, ())[-1:]:
                if validation.num_tokens is not None:
                    sizes.setdefault(validation.num_tokens, []).append(run.name)

        if len(sizes) > 1:
            listed = "; ".join(
                f"{tokens:,.0f} tokens in {', '.join(names)}" for tokens, names in sizes.items()
            )

            notes.append(
                f"The validation sets of {direction} differ in size, or the tokenizers do "
                f"({listed}): losses do not compare."
            )

    return notes
