"""Training and translating against transformers: one model, the same weights, in turns.

    python -m benchmarks.transformers_peer [--device cpu|cuda] [--turns N] [--steps N] [--lines N]

The model is an mBART of random weights (6+6 layers of 256, 12,000 pieces learned on the data) that
transformers saves and both load. fp32 and one thread on a CPU, bf16 (training: mixed precision) on
a GPU.

*Training*: Seq2SeqTrainer on pairs that are tokenised beforehand, against the steps of `fairseq2 mt
finetune` with the selector ``iid``, whose reader tokenises as it goes; the same pairs in each step,
AdamW, label smoothing 0.1, gradients clipped at 1.0. They take turns step by step: ours steps as
Seq2SeqTrainer has ended one. First with one padded batch a step, which is the same for both; then
with as many pairs as make several, which Seq2SeqTrainer takes as they come, and `mt finetune` sorts
by length and batches by tokens.

*Translating*: beam 4, with weights that Seq2SeqTrainer has trained for a while, so that
translations end. The same padded batches for all, once in the order of the file, once of like
lengths; then the file as users translate it: `mt translate`'s Translator, and `generate` on
32 lines at a time in the order of the file, text to text.

On a CPU, seconds are the process's own, so that other programs count less; what is reported is
ratios. Figures and table: ``benchmarks/results/transformers_peer/``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from fairseq2 import init_fairseq2

from benchmarks import ROOT
from benchmarks.bitext import Pair, open_pairs, read_pairs
from benchmarks.transformers_peer import training, translation
from benchmarks.transformers_peer.model import load_theirs, make_folder
from benchmarks.transformers_peer.table import ratios, table
from fairseq2_jest.files import write_json

RESULTS: Final = ROOT / "benchmarks" / "results" / "transformers_peer"

VOCAB_SIZE: Final = 12_000

SEARCH: Final = translation.Search(beam_size=4, max_len=48, batch_size=32, max_num_tokens=1024)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.transformers_peer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared/data/multi30k-ende")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--turns", type=int, default=3, help="of translating")
    parser.add_argument("--steps", type=int, default=4, help="of training that are measured")
    parser.add_argument("--train-steps", type=int, default=40, help="before translating")
    parser.add_argument("--lines", type=int, default=64, help="to translate")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args()

    device = torch.device(args.device)

    if device.type == "cpu":
        torch.set_num_threads(1)

    init_fairseq2(no_progress=True)

    pairs = read_pairs(args.data)

    with tempfile.TemporaryDirectory(prefix="transformers_peer.") as scratch:
        folder = make_folder(_new(scratch, "random"), pairs, VOCAB_SIZE)

        corpus = open_pairs(pairs[: 200 * 64], _new(scratch, "corpus"))

        bench = training.TrainingBench(folder, corpus, device, Path(scratch))

        rows = train(bench, args.steps)

        trained = pretrain(bench, folder, _new(scratch, "trained"), args.train_steps, device)

        lines = [source for source, _ in _valid(args.data, args.lines)]

        rows += translate(trained, lines, args.turns, device)

    text = f"{_caption(args, device)}\n\n{table(rows)}"

    print(f"\n{text}")

    args.out.mkdir(parents=True, exist_ok=True)

    # The run on a GPU does not replace the one on a CPU.
    suffix = "" if device.type == "cpu" else f"-{device.type}"

    (args.out / f"table{suffix}.md").write_text(f"{text}\n", encoding="utf-8")
    write_json(args.out / f"results{suffix}.json", {"caption": text.splitlines()[0], "rows": rows})


def train(bench: training.TrainingBench, num_steps: int) -> list[dict[str, Any]]:
    difference = bench.check_losses()

    if difference > 1e-4:
        raise RuntimeError(f"The losses of the models differ by {difference}.")

    rows = []

    for what, steps in (
        (
            "training, the same batches",
            training.Steps(num_pairs=64, num_batches=1, max_num_tokens=8192, num_steps=num_steps),
        ),
        (
            "training, the same pairs, ours batched by tokens",
            training.Steps(
                num_pairs=256, num_batches=4, max_num_tokens=2048, num_steps=max(1, num_steps // 2)
            ),
        ),
    ):
        turns = bench.measure(steps)

        rows.append(
            ratios(
                what,
                turns.ours,
                turns.theirs,
                tokens=turns.tokens,
                note=f"Seq2SeqTrainer; {steps.num_pairs} pairs a step; padding "
                f"{turns.our_padding:.0%} and {turns.their_padding:.0%}",
            )
        )

        print(f"{what}: {rows[-1]['ratio']:.2f}", flush=True)

    return rows


def pretrain(
    bench: training.TrainingBench, folder: Path, trained: Path, num_steps: int, device: torch.device
) -> Path:
    """Weights that translate, if not well."""
    model, tokenizer = load_theirs(folder, device, torch.float32)

    trainer = bench.trainer(
        model,
        tokenizer,
        bench.examples(num_steps, 64),
        batch_size=64,
        max_steps=num_steps,
        learning_rate=1e-3,
    )

    trainer.train()

    model.save_pretrained(trained)
    tokenizer.save_pretrained(trained)

    return trained


def translate(
    folder: Path, lines: Sequence[str], num_turns: int, device: torch.device
) -> list[dict[str, Any]]:
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32

    bench = translation.TranslationBench(folder, lines, SEARCH, device, dtype)

    rows = []

    turns = bench.same_batches(num_turns)

    found = turns.found["ours"]

    tokens = sum(map(len, found))

    for peer, name in (("transformers", "`generate`"), ("fairseq2", "fairseq2's beam search")):
        same = translation.share_equal(found, turns.found[peer])

        # In bf16 rounding decides more than ties.
        if device.type == "cpu" and same < 0.98:
            raise RuntimeError(f"Only {same:.1%} of what {peer} translates is translated alike.")

        rows.append(
            ratios(
                "translating, the same batches",
                turns.seconds["ours"],
                turns.seconds[peer],
                tokens=tokens,
                lines=len(lines),
                same=same,
                note=f"{name}; {tokens / len(lines):.0f} tokens a line; {same:.1%} the same",
            )
        )

        print(f"{rows[-1]['what']}, {peer}: {rows[-1]['ratio']:.2f}", flush=True)

    turns = bench.file(num_turns)

    same = translation.share_equal(turns.found["ours"], turns.found["transformers"])

    rows.append(
        ratios(
            "translating a file",
            turns.seconds["ours"],
            turns.seconds["transformers"],
            lines=len(lines),
            same=same,
            note=f"`generate` on {SEARCH.batch_size} lines at a time; {same:.1%} the same",
        )
    )

    return rows


def _valid(data: Path, num: int) -> list[Pair]:
    return read_pairs(data, "valid")[:num]


def _new(scratch: str, name: str) -> Path:
    folder = Path(scratch) / name

    folder.mkdir()

    return folder


def _caption(args: argparse.Namespace, device: torch.device) -> str:
    where = (
        f"{torch.cuda.get_device_name(device)}, bf16"
        if device.type == "cuda"
        else "one thread of a CPU, fp32, seconds of the process; not measured on a GPU in this run"
    )

    return (
        f"mBART of 6+6 layers of 256, {VOCAB_SIZE:,} pieces; {where}. {args.lines} lines, beam "
        f"{SEARCH.beam_size}, after {args.train_steps} steps of training. More than 1 is in favour "
        f"of ours, in tokens and in sentences a second alike."
    )


if __name__ == "__main__":
    main()
