"""The share of a training step that goes into selecting, before and after each saving.

    python -m benchmarks.selection_cost [--shape small|nllb-600m] [--device cpu|cuda] [--steps N]

The model has random weights; reader, selector and training unit are those of `fairseq2 mt
finetune`, on text of ``--data`` (two aligned files), or on the built-in corpus where that is
missing. The reference's store is filled beforehand with random vectors of 768 dimensions, and that
of the reference model's losses likewise, as they are in a run that has been through its corpus. All
rows take turns, one step each, on one model, so that a machine's moods strike all of them; a row's
times are medians over the steps after the first. The table and its figures are stored in
``benchmarks/results/selection_cost/``, one file for each shape and kind of device.

`small` is for a CPU: 6+6 layers of 256, 16,000 pieces, 160 -> 16. `nllb-600m` is NLLB-200's 600M
with its 256,206 pieces, 4000 -> 400; its text is tokenised by a tokenizer of 16,000 pieces.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Final
from unittest.mock import patch

import torch

from benchmarks import ROOT
from benchmarks.bitext import Pair, read_pairs
from benchmarks.selection_cost.bench import Bench
from benchmarks.selection_cost.shapes import SHAPES, Shape
from benchmarks.selection_cost.table import table
from benchmarks.selection_cost.variants import variants
from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from fairseq2_jest.files import write_json

RESULTS: Final = ROOT / "benchmarks" / "results" / "selection_cost"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.selection_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/wmt-demo-ende")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--shape", choices=SHAPES, help="by default small on a CPU")
    parser.add_argument("--steps", type=int, help="steps that are measured, after the first")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args()

    device = torch.device(args.device)

    name = args.shape or ("nllb-600m" if device.type == "cuda" else "small")

    shape = SHAPES[name]

    if args.steps is not None:
        shape = replace(shape, num_steps=args.steps)

    if device.type == "cpu":
        torch.set_num_threads(1)

    with (
        tempfile.TemporaryDirectory(prefix="selection_cost.") as scratch,
        patch.dict(os.environ, {"FAIRSEQ2_JEST_CACHE_DIR": f"{scratch}/cache"}),
    ):
        bench = Bench(shape, device, _texts(args.data, shape), Path(scratch))

        rows = bench.measure(variants(shape, on_gpu=device.type == "cuda"))

    text = f"{_caption(name, shape, bench, device)}\n\n{table(rows)}"

    print(f"\n{text}")

    args.out.mkdir(parents=True, exist_ok=True)

    stem = f"{name}-{device.type}"

    (args.out / f"{stem}.md").write_text(f"{text}\n", encoding="utf-8")
    write_json(args.out / f"{stem}.json", {"caption": text.splitlines()[0], "rows": rows})


def _texts(data: Path, shape: Shape) -> list[Pair]:
    if (data / "train.en").is_file():
        return read_pairs(data)

    size = 5 * shape.super_batch_size

    return [(p.source, p.target) for p in generate(BuiltinConfig(part="pretrain", size=size))]


def _caption(name: str, shape: Shape, bench: Bench, device: torch.device) -> str:
    model, size = shape.model, shape.super_batch_size

    where = (
        f"{torch.cuda.get_device_name(device)}, bf16 unless said otherwise"
        if device.type == "cuda"
        else f"one thread of a CPU, fp32{'' if name == 'nllb-600m' else ', a smaller shape'}"
    )

    return (
        f"Shape {name} ({model.num_encoder_layers}+{model.num_decoder_layers} layers of "
        f"{model.model_dim}, vocabulary {model.vocab_size:,}), {size} -> {size // 10} pairs of "
        f"{bench.mean_length:.0f} tokens a side; {where}; medians of {shape.num_steps} steps, in "
        f"turns."
    )


if __name__ == "__main__":
    main()
