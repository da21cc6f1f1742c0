"""Runs `mt backtranslate` with a tiny run of `mt finetune`, each in a fork of this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from tests.integration.forked import Forked, rank_environments, start_program

NUM_LINES = 60

BLOCK_SIZE = 6

OVERRIDES = (
    "common.torch.num_threads=1",
    "seq2seq_generator.config.max_gen_len=8",
    # Many small blocks, for a kill to find a back-translation anywhere.
    f"translation.block_size={BLOCK_SIZE}",
    "translation.max_num_tokens=200",
    "input.builtin=null",
    # The model says things in no language.
    "filters.min_language_likelihood=null",
    "filters.max_loop_share=null",
    "filters.max_length_ratio=.inf",
)

SAMPLING = (
    "seq2seq_generator.name=sampling",
    "seq2seq_generator.config.max_gen_len=8",
    "seq2seq_generator.config.sampler.config.p=1.0",
)


def german_lines(num: int) -> list[str]:
    """Different sentences."""
    return [pair.target for pair in generate(BuiltinConfig(part="trusted", size=num))]


def start(
    out: Path, run: Path, text: Path, *overrides: str, env: Mapping[str, str] | None = None
) -> Forked:
    """Starts the program in a fork, which has its imports behind it."""
    options = ("--preset", "demo-backtranslate", "--no-rich", "--config")

    return start_program(
        *("mt", "backtranslate", str(out), *options, *OVERRIDES),
        *(f"run.path={run}", f"input.path={text}", *overrides),
        folder=out.parent,
        env=env,
    )


def start_ranks(num_ranks: int, out: Path, run: Path, text: Path, *overrides: str) -> list[Forked]:
    """As torchrun does."""
    return [start(out, run, text, *overrides, env=env) for env in rank_environments(num_ranks)]


def result(out: Path) -> dict[str, bytes]:
    """What a back-translation leaves."""
    files = [
        *out.glob("synthetic.*"),
        *out.glob("shards/[!.]*"),
        out / "rejects.tsv",
        out / "manifest.json",
    ]

    return {str(file.relative_to(out)): file.read_bytes() for file in files}
