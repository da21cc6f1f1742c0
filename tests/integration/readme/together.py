"""How the commands of the README's "All of it together" are run, each on what the last one left."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Final

from tests.integration.forked import fork, run_program
from tests.integration.readme.program import SHORT
from tests.integration.readme.text import blocks


def little_text(direction: str = "eng_Latn-deu_Latn") -> str:
    sizes = {"pretrain": 60, "pool": 60, "trusted": 12, "valid": 20}

    corpora = [
        {
            "split": "train" if part == "pool" else part,
            "direction": direction,
            "builtin": {"part": part, "size": size},
        }
        for part, size in sizes.items()
    ]

    return f"dataset.config_overrides.corpora={json.dumps(corpora)}"


# By the folder that a command of "All of it together" writes: what will be there, and what makes it
# short.
TOGETHER: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "all/base": (
        "selection.jsonl",
        (*SHORT, "batch_selector.config.batch_size=12", little_text()),
    ),
    "all/reverse": (
        "*/selection.jsonl",
        (
            *SHORT,
            "batch_selector.config.batch_size=12",
            little_text("deu_Latn-eng_Latn"),
            # After two steps it depends on the processor whether a translation has any text.
            "regime.num_steps=40",
        ),
    ),
    "all/selected": (
        "selected.yaml",
        (
            little_text(),
            "warmup={num_steps: 2, batch_size: 8}",
            "dataset.num_seeds=8",
            "curvature={num_pairs: 20, num_shards: 1}",
            "rule.quantile=0.5",
            "diversity={num_selected: 20, num_clusters: 4}",
        ),
    ),
    "all/synthetic": (
        "synthetic.yaml",
        (
            "input.builtin.size=30",
            "seq2seq_generator.config.max_gen_len=24",
            "filters.min_language_likelihood=null",
            "filters.max_loop_share=null",
        ),
    ),
    "all/tuned": (
        "selection.jsonl",
        (*SHORT, "batch_selector.config={super_batch_size: 20, filter_ratio: 0.5}"),
    ),
    "all/before": ("translations.txt", ("seq2seq_generator.config.max_gen_len=8",)),
    "all/after": ("translations.txt", ("seq2seq_generator.config.max_gen_len=8",)),
    "all/scores": ("evaluate.html", ("significance.num_samples=20", "metrics.ter=false")),
    "all/report": ("report.html", ()),
}


def check_together(command: str, folder: Path) -> None:
    """Each command goes on with what those above it left, in a folder beside the tests' own."""
    shared = folder.parent / "together"

    shared.mkdir(exist_ok=True)

    (block,) = (text.splitlines() for text in blocks("sh") if command in text.splitlines())

    for line in block[: block.index(command) + 1]:
        if found := re.search(r"all/\w+", line):
            check_one_of_all(line, shared, found[0])
        elif not (shared / "test.en").exists():
            check_module(line, shared)

            assert (shared / "test.de").is_file()


def check_one_of_all(command: str, folder: Path, out: str) -> None:
    if (folder / out).exists():
        return

    file, overrides = TOGETHER[out]

    args = shlex.split(command.replace("step_200", "step_2"))[1:]

    if overrides and "--config" not in args:
        args.append("--config")

    result = run_program(*args, *overrides, folder=folder)

    assert result.code == 0, result.err[-3000:]
    assert list((folder / out).glob(file))


def check_module(command: str, folder: Path) -> None:
    _, _, module, *args = shlex.split(command)

    def call() -> None:
        sys.argv = [module, *args]

        runpy.run_module(module, run_name="__main__")

    result = fork(call, folder).wait()

    assert result.code == 0, result.err
