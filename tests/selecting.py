"""Runs `mt select` with a tiny run of `mt finetune`, each in a fork of this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from tests.integration.forked import Forked, rank_environments, start_program
from tests.translating import make_run

NUM_PAIRS = 120

BLOCK_SIZE = 8

OVERRIDES = (
    "common.torch.num_threads=1",
    "dataset.num_seeds=10",
    "dataset.allow_seeds_in_pool=false",
    "dataset.max_seq_len=32",
    "dataset.max_num_tokens=200",
    "curvature.num_pairs=40",
    "curvature.num_shards=3",
    # Many small blocks, for a kill to find a selection anywhere.
    f"scoring.block_size={BLOCK_SIZE}",
    "scoring.max_discarded=0.3",
    "scoring.rank=12",
    "rule.quantile=0.5",
    "diversity.num_selected=20",
    "diversity.num_clusters=6",
    "diversity.projection_side=4",
)


def make_data(folder: Path) -> Path:
    """A folder with a run, a pool and seeds; returns the config that names them."""
    run = make_run(folder / "run")

    config = make_corpora(folder)

    text = config.read_text(encoding="utf-8")

    config.write_text(f"{text}run:\n  path: {run}\nwarmup: null\n", encoding="utf-8")

    return config


def make_corpora(folder: Path) -> Path:
    """A folder with a pool and seeds; returns the config that names them."""
    pool = [(p.source, p.target) for p in generate(BuiltinConfig(part="pretrain", size=NUM_PAIRS))]
    seeds = [(p.source, p.target) for p in generate(BuiltinConfig(part="trusted", size=30))]

    # One pair is too long to be scored.
    pool[5] = (
        " ".join(source for source, _ in pool[:9]),
        " ".join(target for _, target in pool[:9]),
    )

    (folder / "empty.tsv").write_text("", encoding="utf-8")

    for name, pairs in (("pool", pool), ("seeds", [p for p in seeds if p not in pool])):
        text = "".join(f"{source}\t{target}\n" for source, target in pairs)

        (folder / f"{name}.tsv").write_text(text, encoding="utf-8")

    config = folder / "select.yaml"

    config.write_text(
        f"""
dataset:
  name: null
  family: parallel_text
  pool_split: train
  seed_split: seeds
  config_overrides:
    corpora:
      - {{split: train, direction: eng_Latn-deu_Latn, path: {folder / "pool.tsv"}}}
      - {{split: seeds, direction: eng_Latn-deu_Latn, path: {folder / "seeds.tsv"}}}
      - {{split: empty, direction: eng_Latn-deu_Latn, path: {folder / "empty.tsv"}}}
      - {{split: foreign, direction: deu_Latn-eng_Latn, path: {folder / "seeds.tsv"}}}
""",
        encoding="utf-8",
    )

    return config


def start(out: Path, config: Path, *overrides: str, env: Mapping[str, str] | None = None) -> Forked:
    """Starts the program in a fork, which has its imports behind it."""
    options = ("--preset", "demo-gdig", "--no-rich", "--config-file", str(config), "--config")

    return start_program(
        *("mt", "select", str(out), *options, *OVERRIDES, *overrides), folder=out.parent, env=env
    )


def start_ranks(num_ranks: int, out: Path, config: Path, *overrides: str) -> list[Forked]:
    """As torchrun does."""
    return [start(out, config, *overrides, env=env) for env in rank_environments(num_ranks)]


def finish(*processes: Forked) -> None:
    for finished in [process.wait() for process in processes]:
        assert finished.code == 0, finished.err[-3000:]


def result(out: Path) -> dict[str, bytes]:
    """What a selection leaves, and the records underneath."""
    files = [
        *out.glob("*.parquet"),
        *out.glob("scores/*/records.bin"),
        out / "curvature" / "factors.safetensors",
        out / "curvature" / "subspaces.safetensors",
        out / "curvature" / "seeds" / "0000.safetensors",
        out / "manifest.json",
    ]

    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def log_of(out: Path) -> str:
    """What the first rank logged, in all of its starts."""
    file = out / "logs" / "rank_0.log"

    return file.read_text(encoding="utf-8") if file.exists() else ""


STAGES: Mapping[str, Callable[[Path], bool]] = {
    "factors": lambda out: any(out.glob("curvature/factors/*.safetensors")),
    "subspaces": lambda out: (out / "curvature" / "factors.safetensors").exists(),
    "seeds": lambda out: (out / "curvature" / "subspaces.safetensors").exists(),
    "pool": lambda out: (out / "curvature" / "seeds" / "0000.safetensors").exists(),
    "clusters": lambda out: "keeps" in log_of(out),
}
"""Each with what is there once it has begun."""


def check_selection_kill(
    out: Path,
    config: Path,
    expected: dict[str, bytes],
    *,
    stage: str,
    delay: float = 0.0,
    num_ranks: int = 1,
) -> None:
    """Kills a selection in a stage, resumes it, and compares with an undisturbed one.

    :param delay: For how many seconds the stage goes on.
    :param num_ranks: How many resume it.
    """
    killed = start(out, config)

    while killed.process.is_alive() and not STAGES[stage](out):
        time.sleep(0.01)

    killed.process.join(delay)

    # Else nothing was tried.
    assert delay > 0.0 or killed.process.is_alive()

    killed.process.kill()
    killed.wait()

    assert STAGES[stage](out)

    if num_ranks == 1:
        finish(start(out, config))
    else:
        finish(*start_ranks(num_ranks, out, config))

    assert result(out) == expected
