"""Joint selection against Algorithm 1 as it is printed: the same indices, in less time and memory.

    python -m benchmarks.joint_selection [--sizes N ...]

Both run in fp32 on the same embeddings with the same noise, one after the other, each in a process
of its own. The dense algorithm needs two N x N matrices; a size at which they do not fit into free
memory is left out for it, and says so. Times are CPU seconds of one thread, the fastest of three,
which other processes hardly disturb. Stores ``benchmarks/results/joint_selection``.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from collections.abc import Sequence
from typing import Any

import psutil

from benchmarks import ROOT
from benchmarks.markdown import markdown_table
from fairseq2_jest.files import write_json

DIM = 1024

NUM_CHUNKS = 4

FILTER_RATIO = 0.9

NUM_REPEATS = 3
"""The fastest counts."""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.joint_selection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[4_000, 16_000, 64_000])
    args = parser.parse_args()

    rows = []

    for size in args.sizes:
        linear = _measure("linear", size)

        row: dict[str, Any] = {"size": size, "linear": linear}

        if 2.2 * 4 * size**2 < _free_memory():
            row["dense"] = _measure("dense", size)
            row["same_indices"] = row["dense"].pop("indices") == linear["indices"]

        linear.pop("indices")
        rows.append(row)

        print(f"{size:,} done", flush=True)

    folder = ROOT / "benchmarks" / "results" / "joint_selection"

    folder.mkdir(parents=True, exist_ok=True)

    write_json(folder / "results.json", rows)

    text = table(rows)

    (folder / "table.md").write_text(text + "\n", encoding="utf-8")

    print(text)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as a Markdown table of times, memory and their ratios."""
    columns = ["N", "linear", "dense", "ratio", "linear, memory", "dense, memory", "ratio"]
    columns.append("indices")

    told = []

    for row in rows:
        linear, dense = row["linear"], row.get("dense")

        cells = [f"{row['size']:,}", f"{linear['seconds']:.3f} s"]

        if dense is None:
            needed = 2 * 4 * row["size"] ** 2 / 2**30

            cells += ["not run", "", f"{linear['memory'] / 2**20:.0f} MiB"]
            cells += [f"over {needed:.0f} GiB", "", ""]
        else:
            cells += [
                f"{dense['seconds']:.2f} s",
                f"{dense['seconds'] / linear['seconds']:.0f}x",
                f"{linear['memory'] / 2**20:.0f} MiB",
                f"{dense['memory'] / 2**20:,.0f} MiB",
                f"{dense['memory'] / linear['memory']:.0f}x",
                "the same" if row["same_indices"] else "DIFFERENT",
            ]

        told.append(cells)

    return markdown_table(columns, told)


def _measure(kind: str, size: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")

    queue: multiprocessing.Queue[dict[str, Any]] = context.Queue()

    process = context.Process(target=_run, args=(kind, size, queue))

    process.start()

    result = queue.get()

    process.join()

    return result


def _run(kind: str, size: int, queue: multiprocessing.Queue[dict[str, Any]]) -> None:
    from fairseq2_jest.cli.libsndfile import preload

    preload()

    import torch
    from torch.nn.functional import normalize

    from fairseq2_jest.selection.joint import draw_jointly
    from fairseq2_jest.selection.learnability import EmbeddedPairs, Learnability
    from fairseq2_jest.selection.sampling import chunk_sizes, gumbel_noise

    torch.set_num_threads(1)

    generator = torch.Generator().manual_seed(1)

    views = [normalize(torch.randn(size, DIM // 2, generator=generator), dim=1) for _ in range(4)]

    sizes = chunk_sizes(size, FILTER_RATIO, NUM_CHUNKS)

    noise = gumbel_noise((len(sizes), size), generator)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def linear() -> list[int]:
        selection = draw_jointly(
            Learnability.of(
                EmbeddedPairs(source=views[0], target=views[1]),
                EmbeddedPairs(source=views[2], target=views[3]),
                learner_weight=0.2,
                reference_weight=0.8,
            ),
            sizes,
            noise,
            sign=1.0,
            average=False,
            temperature="raw",
            target_support=0.0,
        )

        return selection.indices.tolist()

    seconds = []

    for _ in range(NUM_REPEATS):
        begin = time.process_time()

        indices = _dense(views, sizes, noise) if kind == "dense" else linear()

        seconds.append(time.process_time() - begin)

    # In KiB on Linux.
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024

    queue.put({"seconds": min(seconds), "memory": memory, "indices": indices})


def _dense(views: Sequence[Any], sizes: Sequence[int], noise: Any) -> list[int]:
    """Algorithm 1 of arXiv 2511.04406 with its matrix, masks and sums."""
    import torch

    learner_source, learner_target, reference_source, reference_target = views

    matrix = 0.8 * reference_source @ reference_target.T
    matrix -= 0.2 * learner_source @ learner_target.T

    chosen: list[int] = []

    for num_draws, chunk_noise in zip(sizes, noise, strict=True):
        is_sampled = torch.zeros(len(matrix))
        is_sampled[chosen] = 1.0

        logits = matrix.diagonal() + (matrix * is_sampled[:, None]).sum(dim=0)
        logits = logits + (matrix * is_sampled[None, :]).sum(dim=1) - 1e8 * is_sampled

        chosen += (logits + chunk_noise).topk(num_draws).indices.tolist()

    return chosen


def _free_memory() -> int:
    return int(psutil.virtual_memory().available)


if __name__ == "__main__":
    main()
