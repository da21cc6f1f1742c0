"""Runs `mt embed` on clean pairs of the built-in corpus, each in a fork with a cache of its own."""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

from fairseq2.recipe.run import run

from fairseq2_jest.cache import CACHE_DIR_VARIABLE, cache_dir
from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.cli.presets import find_preset
from fairseq2_jest.embedding.builtin_reference import ensure_builtin_reference
from fairseq2_jest.recipes.embed.config import EmbedConfig
from fairseq2_jest.recipes.embed.recipe import EmbedRecipe
from tests.integration.forked import rank_environments

NUM_PAIRS = 8000

# Many small chunks, for a kill to find a fill anywhere.
OVERRIDES = (
    "common.no_sweep_dir=true",
    "common.torch.num_threads=1",
    "dataset.train_split=trusted",
    "reference_store.chunk_size=100",
    "fill.sample_size=0",
)


def make_cache(folder: Path) -> Path:
    """A cache that shares all but the embeddings with the usual one."""
    folder.mkdir(parents=True)

    ensure_builtin_reference()

    for name in ("corpora", "builtin"):
        (cache_dir() / name).mkdir(exist_ok=True)
        (folder / name).symlink_to(cache_dir() / name)

    return folder


def records(cache: Path) -> dict[str, bytes]:
    """The files of the stores, by folder."""
    return {file.parent.name: file.read_bytes() for file in cache.glob("embeddings/*/records.bin")}


def start_fill(
    out: Path, cache: Path, *overrides: str, env: Mapping[str, str] | None = None
) -> BaseProcess:
    """Starts `mt embed` in a fork, which has its imports behind it."""
    process = multiprocessing.get_context("fork").Process(
        target=_embed,
        args=(out, [*OVERRIDES, *overrides], {**(env or {}), CACHE_DIR_VARIABLE: str(cache)}),
    )

    process.start()

    return process


def finish(*processes: BaseProcess) -> None:
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0] * len(processes)


def start_ranks(num_ranks: int, out: Path, cache: Path, *overrides: str) -> list[BaseProcess]:
    """As torchrun does."""
    return [start_fill(out, cache, *overrides, env=env) for env in rank_environments(num_ranks)]


def check_fill_kills(folder: Path, *, num_kills: int, seed: int) -> None:
    """Kills fills at random moments, resumes them, and compares with an undisturbed one."""
    undisturbed = make_cache(folder / "undisturbed")

    begin = time.monotonic()

    process = start_fill(folder / "out", undisturbed)

    _wait_for_store(process, undisturbed)

    before = time.monotonic() - begin

    finish(process)

    during = time.monotonic() - begin - before

    expected = records(undisturbed)

    assert len(expected) == 3

    moments, num_partial = random.Random(seed), 0

    for kill in range(num_kills):
        cache = make_cache(folder / f"killed_{kill}")

        process = start_fill(folder / f"out_{kill}", cache)

        _wait_for_store(process, cache)

        process.join(during * moments.uniform(0.0, 0.9))
        process.kill()
        process.join()

        num_partial += records(cache) != expected

        finish(start_fill(folder / f"out_{kill}", cache))

        assert records(cache) == expected, f"kill {kill}"

    # Else nothing was tried.
    assert num_partial > num_kills // 2


def _wait_for_store(process: BaseProcess, cache: Path) -> None:
    while process.is_alive() and len(records(cache)) < 3:
        time.sleep(0.01)


def _embed(out: Path, overrides: list[str], env: Mapping[str, str]) -> None:
    import torch

    # The threads of the parent do not exist here.
    torch.set_num_threads(1)

    os.environ.update(env)

    sources = ConfigSources(preset=find_preset("embed", "demo").file, overrides=[overrides])

    with load_config(EmbedRecipe(), sources) as (config, _):
        assert isinstance(config, EmbedConfig)

    run(EmbedRecipe(), config, out, no_rich=True, no_progress=True)
