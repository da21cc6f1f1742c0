"""How fast a reference runs on one CPU thread: by torch, by ONNX Runtime, and by that in int8.

The model has the shape of LaBSE (12 layers of 768, a dense layer after them), but random weights
and a vocabulary of some thousand words, which changes its size and not its speed. What random
weights would choose says nothing about LaBSE, so only speed is told. Files are exported and
quantised by sentence-transformers; encoders are timed in turns. Prints a table, and writes it to
`benchmarks/results/reference_backends/`.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
from math import sqrt
from pathlib import Path
from statistics import stdev
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from benchmarks import ROOT
from benchmarks.embedding_store import Watch, open_corpus
from benchmarks.markdown import markdown_table
from benchmarks.random_bert import save_random_bert
from fairseq2_jest.embedding.reference import SentenceTransformerConfig, SentenceTransformerEncoder
from fairseq2_jest.files import write_json

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

RESULTS: Final = ROOT / "benchmarks" / "results" / "reference_backends"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reference_backends", description=__doc__
    )
    parser.add_argument("--pairs", type=int, default=64, help="pairs of a round")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is timed")
    parser.add_argument("--layers", type=int, default=12, help="layers of the model")
    parser.add_argument(
        "--int8",
        choices=("arm64", "avx2", "avx512", "avx512_vnni"),
        default="avx2",
        help="the instructions for which sentence-transformers quantises",
    )
    args = parser.parse_args()

    torch.set_num_threads(1)

    corpus = open_corpus(4000)

    words = itertools.chain(*corpus.texts(np.arange(2000, dtype=np.int64)))

    texts = list(itertools.chain(*corpus.texts(np.arange(args.pairs, dtype=np.int64))))

    scratch = Path(tempfile.mkdtemp(prefix="reference_backends."))

    try:
        folder = save_random_bert(
            words,
            scratch,
            hidden_size=768,
            num_layers=args.layers,
            num_heads=12,
            dense_dim=768,
        )

        encoders = load_encoders(folder, scratch / "onnx", args.int8)

        rows = time_encoders(encoders, texts, args.rounds)
    finally:
        shutil.rmtree(scratch)

    table = markdown_table(
        ("backend", "texts/s", "times torch, CPU time"),
        [
            (row["backend"], f"{row['rate']:.1f}", f"{row['ratio']:.2f} ± {row['ratio_error']:.2f}")
            for row in rows
        ],
    )

    print(f"\n{table}")

    RESULTS.mkdir(parents=True, exist_ok=True)

    (RESULTS / "table.md").write_text(f"{table}\n", encoding="utf-8")
    write_json(
        RESULTS / "results.json", {"layers": args.layers, "texts": len(texts), "backends": rows}
    )


def load_encoders(
    folder: Path, exported: Path, instructions: str
) -> dict[str, SentenceTransformerEncoder]:
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    model: SentenceTransformer = SentenceTransformer(str(folder), device="cpu", backend="onnx")
    model.save_pretrained(str(exported), create_model_card=False)

    export_dynamic_quantized_onnx_model(model, instructions, str(exported), file_suffix="int8")

    configs = {
        "torch, float32": SentenceTransformerConfig(model=str(folder), device="cpu"),
        "ONNX": SentenceTransformerConfig(model=str(exported), backend="onnx"),
        f"ONNX, int8 for {instructions}": SentenceTransformerConfig(
            model=str(exported), backend="onnx", file_name="onnx/model_int8.onnx"
        ),
    }

    return {name: SentenceTransformerEncoder(config) for name, config in configs.items()}


def time_encoders(
    encoders: dict[str, SentenceTransformerEncoder], texts: list[str], rounds: int
) -> list[dict[str, Any]]:
    """Rates of all rounds; ratios are of CPU time, their standard errors of the rounds' own."""
    timings: dict[str, list[Watch]] = {name: [] for name in encoders}

    for round_ in range(rounds + 1):
        for name, encoder in encoders.items():
            watch = time_encoder(encoder, texts)

            # The first round warms up.
            if round_ > 0:
                timings[name].append(watch)

            print(round_, name, round(watch.wall, 2), round(watch.cpu, 2), flush=True)

    (torch_watches, *_) = timings.values()

    rows = []

    for name, watches in timings.items():
        ratios = [
            by_torch.cpu / watch.cpu for by_torch, watch in zip(torch_watches, watches, strict=True)
        ]

        rows.append(
            {
                "backend": name,
                "rate": len(texts) * rounds / sum(watch.wall for watch in watches),
                "ratio": sum(w.cpu for w in torch_watches) / sum(w.cpu for w in watches),
                "ratio_error": stdev(ratios) / sqrt(rounds),
                "wall_seconds": [watch.wall for watch in watches],
                "cpu_seconds": [watch.cpu for watch in watches],
            }
        )

    return rows


def time_encoder(encoder: SentenceTransformerEncoder, texts: list[str]) -> Watch:
    def encode() -> None:
        encoder.encode(texts)

    watch = Watch()
    watch.time(encode)

    return watch


if __name__ == "__main__":
    main()
