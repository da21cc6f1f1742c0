"""Runs `mt translate` with a tiny run of `mt finetune`, each in a fork of this process."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from fairseq2.recipe.run import run

from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.cli.presets import find_preset
from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from fairseq2_jest.recipes.translate.config import TranslateConfig
from fairseq2_jest.recipes.translate.recipe import TranslateRecipe
from tests.integration.forked import Forked, fork, rank_environments, start_program
from tests.integration.runs import finetune

OVERRIDES = (
    "common.torch.num_threads=1",
    "seq2seq_generator.config.beam_size=2",
    "seq2seq_generator.config.max_gen_len=8",
    # Many small blocks, for a kill to find a translation anywhere.
    "translation.block_size=10",
    "translation.max_num_tokens=200",
)


def make_run(folder: Path) -> Path:
    """A run with checkpoints of the steps 1 and 2, of which 1 is the best."""
    regime = ("validate", "checkpoint", "publish_metrics")

    call = partial(
        finetune,
        folder,
        "regime.num_steps=2",
        *(f"regime.{name}_every_n_steps=1" for name in regime),
    )

    finished = fork(call, folder.parent).wait()

    assert finished.code == 0, finished.err[-2000:]

    for step in (1, 2):
        (file,) = (folder / "checkpoints" / f"step_{step}" / "model").rglob("*.pt")

        torch.save(talkative(torch.load(file, weights_only=True), seed=step), file)

        (folder / "checkpoints" / "scores" / f"step_{step}.txt").write_text(f"{-step}.0\n")

    return folder


def talkative(state: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """The weights of a model that says something else of each sentence.

    One that was hardly trained repeats a word, the same for all; this one has words that are far
    apart, and looks at its source.
    """
    shape = state["final_proj.weight"].shape

    words = 0.3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))

    return {
        name: words if weight.shape == shape else _larger(name, weight)
        for name, weight in state.items()
    }


def _larger(name: str, weight: torch.Tensor) -> torch.Tensor:
    return 6.0 * weight if "encoder_decoder_attn." in name else weight


def source_lines(num: int) -> list[str]:
    """Different sentences, with an empty line for every seventh."""
    pairs = generate(BuiltinConfig(part="trusted", size=num))

    return ["" if index % 7 == 6 else pair.source for index, pair in enumerate(pairs)]


LINES = source_lines(84)


def write_lines(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    return path


def load(*overrides: str) -> TranslateConfig:
    sources = ConfigSources(
        preset=find_preset("translate", "demo").file, overrides=[[*OVERRIDES, *overrides]]
    )

    with load_config(TranslateRecipe(), sources) as (config, _):
        assert isinstance(config, TranslateConfig)

        return config


def translate(out: Path, *overrides: str) -> None:
    """Runs the recipe in this process."""
    run(TranslateRecipe(), load(*overrides), out, no_rich=True, no_progress=True)


def arguments(out: Path, *overrides: str) -> list[str]:
    """What is typed behind ``fairseq2``."""
    options = ("--preset", "demo", "--no-rich", "--config", *OVERRIDES, *overrides)

    return ["mt", "translate", str(out), *options]


def start(out: Path, *overrides: str, env: Mapping[str, str] | None = None) -> Forked:
    """Starts the program in a fork, which has its imports behind it."""
    return start_program(*arguments(out, *overrides), folder=out.parent, env=env)


def start_ranks(num_ranks: int, out: Path, *overrides: str) -> list[Forked]:
    """As torchrun does."""
    return [start(out, *overrides, env=env) for env in rank_environments(num_ranks)]


def finish(*processes: Forked) -> None:
    for finished in [process.wait() for process in processes]:
        assert finished.code == 0, finished.err[-2000:]


def log_of(out: Path) -> str:
    """What the first rank logged, in all of its starts."""
    return (out / "logs" / "rank_0.log").read_text(encoding="utf-8")


def shards(out: Path) -> dict[str, bytes]:
    """The blocks that are complete."""
    return {file.name: file.read_bytes() for file in out.glob("shards/[!.]*")}


def output(out: Path) -> list[str]:
    lines = (out / "translations.txt").read_text(encoding="utf-8").split("\n")

    assert lines.pop() == ""

    return lines


def check_translation_kills(folder: Path, *, num_kills: int, seed: int) -> None:
    """Kills translations at random moments, resumes them, and compares with an undisturbed one."""
    overrides = (
        f"run.path={make_run(folder / 'run')}",
        f"input.path={write_lines(folder / 'in.txt', source_lines(400))}",
    )

    undisturbed = folder / "undisturbed"

    finish(start(undisturbed, *overrides))

    expected = (undisturbed / "translations.txt").read_bytes()

    moments, num_partial = random.Random(seed), 0

    for kill in range(num_kills):
        out = folder / f"killed_{kill}"

        killed = start(out, *overrides)

        _wait_for_blocks(killed, out, moments.randrange(1, 38))

        # A block takes some hundredths of a second: anywhere in one.
        killed.process.join(moments.uniform(0.0, 0.05))
        killed.process.kill()
        killed.wait()

        safe = shards(out)

        num_partial += 0 < len(safe) < 40

        finish(start(out, *overrides))

        assert (out / "translations.txt").read_bytes() == expected, f"kill {kill}"

        # What was safe was not made again, but it is the same in any case.
        assert safe.items() <= shards(out).items()
        assert f"{len(safe)} of 40 blocks of lines are translated already" in log_of(out)

    # Else nothing was tried.
    assert num_partial > num_kills // 2


def _wait_for_blocks(process: Forked, out: Path, num: int) -> None:
    while process.process.is_alive() and len(shards(out)) < num:
        time.sleep(0.005)
