"""Runs `fairseq2 mt finetune` once for each arm of a comparison, and reads what it recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.markdown import markdown_table
from fairseq2_jest.files import write_json
from fairseq2_jest.report.runs import read_run


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One run of a comparison."""

    name: str
    """How the arm is called in tables; runs of one name differ in their seeds."""

    key: str
    """Its folder, and the file of its result."""

    preset: str
    """The preset it starts from."""

    file: Path | None = None
    """A config file over the preset."""

    overrides: tuple[str, ...] = ()
    """What is set beside."""


@dataclass(frozen=True, kw_only=True)
class ValidationPoint:
    """What one validation measured."""

    samples: int
    """Pairs trained on so far."""

    loss: float
    """Negative log-likelihood per token, without label smoothing."""

    bleu: float | None
    """BLEU of the translated part of the validation set."""

    flops: float
    """FLOPs spent so far, on training and on selecting; filling the reference's store left out."""

    seconds: float
    """Wall-clock time spent in training steps so far, selecting included."""


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """What one run came to."""

    name: str
    """How the arm is called in tables."""

    curve: list[ValidationPoint]
    """Its validations, in order."""

    samples: int
    """Pairs trained on."""

    noise_share: float | None
    """Share of noise among them, where the corpus is labelled."""

    known_share: float | None
    """Share of pairs known already or near-duplicates among them, likewise."""

    seconds: float
    """Wall-clock time of the run, validation included, start-up not."""

    selection_share: float
    """Share of the training steps' time that went into selecting."""

    training_flops: float
    """FLOPs of training."""

    selection_flops: float
    """FLOPs of the learner's view."""

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)

        write_json(file, asdict(self))

    @staticmethod
    def load(file: Path) -> ArmResult:
        values = json.loads(file.read_text(encoding="utf-8"))

        values["curve"] = [ValidationPoint(**point) for point in values["curve"]]

        return ArmResult(**values)


def run_arms(arms: Sequence[Arm], out: Path, results: Path | None = None) -> list[ArmResult]:
    """Runs the arms under ``out``, one on each core with one thread each.

    The result of an arm is stored as it is done, and an arm that has one is not run again; one that
    was interrupted goes on from its last checkpoint.

    :param results: Where results are stored; by default under ``out``.
    :raises SystemExit: A run failed; the end of its log is in the message.
    """
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        futures = [pool.submit(_run, arm, out, results or out / "results") for arm in arms]

        try:
            return [future.result() for future in futures]
        finally:
            pool.shutdown(cancel_futures=True)


def _run(arm: Arm, out: Path, results: Path) -> ArmResult:
    result_file, folder = results / f"{arm.key}.json", run_folder(out, arm)

    if result_file.exists():
        return ArmResult.load(result_file)

    log_file = folder.parent / f"{arm.key}.log"

    print(f"{arm.name} ({arm.key}); its log is {log_file}", flush=True)

    args = ["finetune", str(folder), "--preset", arm.preset]

    if arm.file is not None:
        args += ["--config-file", str(arm.file)]

    args += ["--config", "common.no_sweep_dir=true", *arm.overrides]

    run_program(args, log_file, f"{arm.name} ({arm.key})")

    result = read_arm(arm.name, folder)
    result.save(result_file)

    return result


def run_program(args: Sequence[str | Path], log_file: Path, name: str) -> None:
    """Runs ``fairseq2 mt ARGS`` with one thread; what it says goes to ``log_file``.

    :param name: What it is called in a message.
    :raises SystemExit: It failed; the end of its log is in the message.
    """
    command, *others = map(str, args)

    log_file.parent.mkdir(parents=True, exist_ok=True)

    with log_file.open("w", encoding="utf-8") as log:
        status = subprocess.run(
            [sys.executable, "-m", "fairseq2_jest", "mt", command, "--no-rich", *others],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
        ).returncode

    if status != 0:
        end = "\n".join(log_file.read_text(encoding="utf-8").splitlines()[-8:])

        raise SystemExit(f"{name} failed with exit code {status}:\n{end}")


def run_folder(out: Path, arm: Arm) -> Path:
    """The folder of an arm's run."""
    return out / "runs" / arm.key


def checkpoint(out: Path, arm: Arm, step: int) -> Path:
    """The model that an arm saved at ``step``."""
    return run_folder(out, arm) / "checkpoints" / f"step_{step}" / "model"


def read_arm(name: str, folder: Path) -> ArmResult:
    """Reads what a finished run in one direction has recorded."""
    run = read_run(folder, name)

    ((_, validations),) = run.validations.items()

    curve = [
        ValidationPoint(
            samples=round(validation.spent.samples),
            loss=validation.scores["loss"],
            bleu=validation.scores.get("bleu"),
            flops=validation.spent.flops,
            seconds=validation.spent.step_seconds,
        )
        for validation in validations
    ]

    return ArmResult(
        name=name,
        curve=curve,
        samples=round(run.spent.samples),
        noise_share=run.noise_share,
        known_share=run.known_share,
        seconds=run.spent.seconds,
        selection_share=run.spent.selection_share or 0.0,
        training_flops=run.spent.training_flops,
        selection_flops=run.spent.selection_flops,
    )


def table(results: Sequence[ArmResult]) -> str:
    """The arms as a Markdown table, judged by their last validation; seeds as mean and range."""
    columns = ["arm", "seeds", "validation loss", "BLEU", "samples trained", "noise among them"]
    columns += ["time", "selecting"]

    rows = []

    for name, runs in by_name(results).items():
        last = [run.curve[-1] for run in runs]

        bleu = [point.bleu for point in last if point.bleu is not None]
        noise = [run.noise_share for run in runs if run.noise_share is not None]

        row = [
            name,
            str(len(runs)),
            spread([point.loss for point in last], ".3f"),
            spread(bleu, ".1f"),
            f"{fmean(run.samples for run in runs):,.0f}",
            f"{fmean(noise):.0%}" if noise else "",
            f"{fmean(run.seconds for run in runs):.0f} s",
            f"{fmean(run.selection_share for run in runs):.0%}",
        ]

        rows.append(row)

    return markdown_table(columns, rows)


def spread(values: Sequence[float], form: str) -> str:
    """The mean of several values, and their range."""
    if not values:
        return ""

    mean = f"{fmean(values):{form}}"

    return mean if len(values) == 1 else f"{mean} ({min(values):{form}}-{max(values):{form}})"


def by_name(results: Sequence[ArmResult]) -> dict[str, list[ArmResult]]:
    """The runs of each arm, in the order the arms are met."""
    groups: dict[str, list[ArmResult]] = {}

    for result in results:
        groups.setdefault(result.name, []).append(result)

    return groups


def plot(results: Sequence[ArmResult], file: Path, *, title: str) -> None:
    """Draws validation loss and BLEU against samples trained, one line for each run."""
    import matplotlib

    matplotlib.use("Agg")

    from matplotlib import pyplot as plt

    figure, (loss_axes, bleu_axes) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")

    styles = ("-o", "--s", ":^", "-.d", "-v")

    for index, (name, runs) in enumerate(by_name(results).items()):
        for run in runs:
            samples = [point.samples for point in run.curve]

            look = {
                "color": f"C{index}",
                "label": name if run is runs[0] else None,
                "alpha": 1.0 if len(runs) == 1 else 0.6,
            }
            style = styles[index % len(styles)]

            loss_axes.plot(samples, [point.loss for point in run.curve], style, **look)
            bleu_axes.plot(samples, [point.bleu or 0.0 for point in run.curve], style, **look)

    loss_axes.set_ylabel("validation loss (nats per token)")
    bleu_axes.set_ylabel("BLEU")

    for axes in (loss_axes, bleu_axes):
        axes.set_xlabel("pairs trained on")
        axes.grid(alpha=0.3)
        axes.legend()

    figure.suptitle(title)

    file.parent.mkdir(parents=True, exist_ok=True)

    figure.savefig(file, dpi=120)

    plt.close(figure)
