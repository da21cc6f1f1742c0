"""Runs `fairseq2 mt finetune` in this process, and reads what it recorded."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from fairseq2_jest.cli.libsndfile import preload

preload()

from fairseq2.recipe.run import run  # noqa: E402

from fairseq2_jest.cli.config import ConfigSources, load_config  # noqa: E402
from fairseq2_jest.cli.presets import find_preset  # noqa: E402
from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe  # noqa: E402


@dataclass(frozen=True, kw_only=True)
class ValidationPoint:
    """What one validation measured."""

    samples: int
    """Pairs trained on so far."""

    loss: float
    """Negative log-likelihood per token, without label smoothing."""

    bleu: float | None
    """BLEU of the translated part of the validation set."""


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

    seconds: float
    """Wall-clock time of the whole run."""

    selection_share: float
    """Share of the training steps' time that went into selecting."""

    training_flops: float
    """FLOPs of training."""

    selection_flops: float
    """FLOPs of the learner's view."""

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)

        file.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    @staticmethod
    def load(file: Path) -> ArmResult:
        values = json.loads(file.read_text(encoding="utf-8"))

        values["curve"] = [ValidationPoint(**point) for point in values["curve"]]

        return ArmResult(**values)


def run_arm(
    name: str,
    output_dir: Path,
    *,
    preset: str,
    file: Path | None = None,
    overrides: Sequence[str] = (),
) -> ArmResult:
    """Runs one arm; ``output_dir`` must be new, since a run there would be resumed."""
    recipe = FinetuneRecipe()

    sources = ConfigSources(
        preset=find_preset("finetune", preset).file,
        file=file,
        overrides=[[*overrides, "common.no_sweep_dir=true"]],
    )

    with load_config(recipe, sources) as (config, _):
        pass

    begin = time.perf_counter()

    run(recipe, config, output_dir, no_rich=True, no_progress=True)

    return read_arm(name, output_dir, seconds=time.perf_counter() - begin)


def read_arm(name: str, output_dir: Path, *, seconds: float) -> ArmResult:
    """Reads the metrics of a finished run in one direction."""
    train = _read(output_dir / "metrics" / "train.jsonl")

    (valid_file,) = (output_dir / "metrics" / "valid").glob("*.jsonl")

    samples = {record["Step"]: record["total_num_selected"] for record in train}

    curve = [
        ValidationPoint(
            samples=int(samples[record["Step"]]),
            loss=record["NLL Loss"],
            bleu=record.get("BLEU"),
        )
        for record in _read(valid_file)
    ]

    last = train[-1]

    labelled = "noise_share_selected" in last

    return ArmResult(
        name=name,
        curve=curve,
        samples=int(last["total_num_selected"]),
        noise_share=last["total_num_noise_selected"] / last["total_num_selected"]
        if labelled
        else None,
        seconds=seconds,
        selection_share=last["total_selection_time"] / last["total_step_time"],
        training_flops=last["total_training_flops"],
        selection_flops=last["total_selection_flops"],
    )


def _read(file: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def table(results: Sequence[ArmResult]) -> str:
    """The arms as a Markdown table, judged by their last validation."""
    lines = [
        "| arm | validation loss | BLEU | samples trained | noise among them | time | selecting |",
        "|---|---|---|---|---|---|---|",
    ]

    for result in results:
        last = result.curve[-1]

        noise = "" if result.noise_share is None else f"{result.noise_share:.0%}"
        bleu = "" if last.bleu is None else f"{last.bleu:.1f}"

        lines.append(
            f"| {result.name} | {last.loss:.3f} | {bleu} | {result.samples:,} | {noise} | "
            f"{result.seconds:.0f} s | {result.selection_share:.0%} |"
        )

    return "\n".join(lines)


def plot(results: Sequence[ArmResult], file: Path, *, title: str) -> None:
    """Draws validation loss and BLEU against samples trained."""
    import matplotlib

    matplotlib.use("Agg")

    from matplotlib import pyplot as plt

    figure, (loss_axes, bleu_axes) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")

    styles = ("-o", "--s", ":^", "-.d")

    for result, style in zip(results, styles, strict=False):
        samples = [point.samples for point in result.curve]

        loss_axes.plot(samples, [point.loss for point in result.curve], style, label=result.name)
        bleu_axes.plot(
            samples, [point.bleu or 0.0 for point in result.curve], style, label=result.name
        )

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
