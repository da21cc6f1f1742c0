"""The embedding store: how fast it fills, and what its smaller forms cost.

Fills the store of a built-in corpus with a randomly initialised BERT and with the built-in
reference, and embeds the same texts with `SentenceTransformer.encode` alone, same batch size, in
turns. Then compares what the reference chooses from float16 vectors and from smaller ones, with
the same noise. Prints both tables, and writes them to `benchmarks/results/embedding_store/`.
"""

from __future__ import annotations

import argparse
import itertools
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import fmean, stdev
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from benchmarks.markdown import markdown_table
from benchmarks.random_bert import save_random_bert
from fairseq2_jest.corpus.builtin import BuiltinConfig
from fairseq2_jest.corpus.config import CleaningConfig, CorpusConfig, ParallelTextConfig
from fairseq2_jest.corpus.dataset import Corpus, open_parallel_text
from fairseq2_jest.embedding.builtin_reference import ensure_builtin_reference
from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.fill import Filler
from fairseq2_jest.embedding.prediction import time_sample
from fairseq2_jest.embedding.reference import (
    ReferenceEncoder,
    SentenceTransformerConfig,
    SentenceTransformerEncoder,
)
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from fairseq2_jest.files import write_json
from fairseq2_jest.selection.independent import IndependentConfig, IndependentSelector
from fairseq2_jest.selection.joint import JointConfig, JointSelector
from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.selector import BatchSelector, SuperBatch

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

RESULTS: Final = Path(__file__).resolve().parent / "results" / "embedding_store"

FORMS: Final = {
    "float16": ReferenceStoreConfig(),
    "int8": ReferenceStoreConfig(precision="int8"),
    "float16, first 64": ReferenceStoreConfig(dim=64),
    "float16, first 32": ReferenceStoreConfig(dim=32),
    "float16, orthogonal 64": ReferenceStoreConfig(dim=64, reduction="orthogonal"),
    "float16, orthogonal 32": ReferenceStoreConfig(dim=32, reduction="orthogonal"),
    "int8, orthogonal 64": ReferenceStoreConfig(precision="int8", dim=64, reduction="orthogonal"),
}


@dataclass(frozen=True, kw_only=True)
class Model:
    name: str
    folder: Path
    batch_size: int
    num_pairs: int


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.embedding_store", description=__doc__
    )
    parser.add_argument("--bert-pairs", type=int, default=16384, help="pairs embedded with BERT")
    parser.add_argument("--static-pairs", type=int, default=32768, help="with the built-in one")
    parser.add_argument("--rounds", type=int, default=8, help="how often each is timed")
    parser.add_argument(
        "--super-batches", type=int, default=20, help="choices compared, 1000 pairs"
    )
    args = parser.parse_args()

    torch.set_num_threads(1)

    corpus = open_corpus(max(args.bert_pairs, args.static_pairs))

    scratch = Path(tempfile.mkdtemp(prefix="embedding_store."))

    try:
        models = (
            Model(
                name="random BERT, 2 layers of 128",
                folder=save_random_bert(
                    itertools.chain(*corpus.texts(np.arange(2000, dtype=np.int64))),
                    scratch / "bert",
                ),
                batch_size=64,
                num_pairs=args.bert_pairs,
            ),
            Model(
                name="built-in static reference",
                folder=ensure_builtin_reference(),
                batch_size=1024,
                num_pairs=args.static_pairs,
            ),
        )

        fills = [time_fill(model, corpus, args.rounds, scratch) for model in models]

        forms = compare_forms(corpus, args.super_batches, scratch)
    finally:
        shutil.rmtree(scratch)

    text = f"{fill_table(fills)}\n\n{form_table(forms)}"

    print(f"\n{text}")

    RESULTS.mkdir(parents=True, exist_ok=True)

    (RESULTS / "table.md").write_text(f"{text}\n", encoding="utf-8")
    write_json(RESULTS / "results.json", {"fill": fills, "forms": forms})


def open_corpus(size: int) -> Corpus:
    builtin = BuiltinConfig(part="pool", size=round(1.2 * size), noise_share=0.5)

    config = CorpusConfig(
        split="train", direction="eng_Latn-deu_Latn", format="builtin", builtin=builtin
    )

    # As in the demo: a bag of words cannot tell a copy from a translation.
    cleaning = CleaningConfig(reject_copies=True, max_reject_share=0.25)

    return open_parallel_text(ParallelTextConfig(corpora=[config], cleaning=cleaning)).open("train")


def open_reference(
    encoder: ReferenceEncoder,
    corpus: Corpus,
    num_rows: int,
    folder: Path,
    config: ReferenceStoreConfig | None = None,
) -> CachedReference:
    return CachedReference.open(
        encoder,
        corpus,
        corpus_digest=corpus.digest,
        num_rows=num_rows,
        folder=folder,
        config=config,
    )


def time_fill(model: Model, corpus: Corpus, rounds: int, scratch: Path) -> dict[str, Any]:
    """Texts a second of a fill and of the encoder alone, in turns.

    Ratios are of the totals of all rounds; that of CPU time is the one to look at where other
    programs share the machine. Its standard error is that of the rounds' own ratios.
    """
    from sentence_transformers import SentenceTransformer

    config = SentenceTransformerConfig(
        model=str(model.folder), device="cpu", dtype="float32", batch_size=model.batch_size
    )

    encoder = SentenceTransformerEncoder(config)

    alone: SentenceTransformer = SentenceTransformer(str(model.folder), device="cpu")

    sides = corpus.texts(np.arange(model.num_pairs, dtype=np.int64))

    encoder.encode(sides[0][:1000])
    alone.encode(sides[0][:1000], batch_size=model.batch_size)

    timings = []

    for round_ in range(rounds):
        folder = scratch / f"{model.folder.name}-{round_}"

        reference = open_reference(encoder, corpus, model.num_pairs, folder)

        sample = time_sample(reference, min(1024, model.num_pairs // 50))

        chunks = range(reference.score_store.num_chunks)

        def encode_alone() -> None:
            for texts in sides:
                alone.encode(texts, batch_size=model.batch_size, show_progress_bar=False)

        encode, fill = Watch(), Watch()

        if round_ % 2:
            encode.time(encode_alone)

        fill.time(partial(Filler(reference).run, chunks, verify=True))

        if not round_ % 2:
            encode.time(encode_alone)

        shutil.rmtree(folder)

        timings.append(
            {
                "fill_seconds": fill.wall,
                "fill_cpu_seconds": fill.cpu,
                "alone_seconds": encode.wall,
                "alone_cpu_seconds": encode.cpu,
                "predicted_seconds": model.num_pairs / sample,
            }
        )

        print(model.name, {k: round(v, 2) for k, v in timings[-1].items()}, flush=True)

    def total(name: str) -> float:
        return sum(timing[name] for timing in timings)

    of_rounds = [timing["alone_cpu_seconds"] / timing["fill_cpu_seconds"] for timing in timings]

    return {
        "model": model.name,
        "pairs": model.num_pairs,
        "batch_size": model.batch_size,
        "chunk_size": ReferenceStoreConfig().chunk_size,
        "fill_rate": 2 * model.num_pairs * rounds / total("fill_seconds"),
        "alone_rate": 2 * model.num_pairs * rounds / total("alone_seconds"),
        "ratio": total("alone_seconds") / total("fill_seconds"),
        "cpu_ratio": total("alone_cpu_seconds") / total("fill_cpu_seconds"),
        "cpu_ratio_error": stdev(of_rounds) / sqrt(rounds),
        "predicted_to_actual": total("predicted_seconds") / total("fill_seconds"),
        "timings": timings,
    }


class Watch:
    """Wall-clock and CPU seconds."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    def time(self, call: Callable[[], None]) -> None:
        wall, cpu = perf_counter(), process_time()
        call()
        self.wall, self.cpu = perf_counter() - wall, process_time() - cpu


def compare_forms(corpus: Corpus, num_super_batches: int, scratch: Path) -> list[dict[str, Any]]:
    """The overlap of what is chosen from each form with what is chosen from float16 vectors."""
    encoder = SentenceTransformerEncoder(
        SentenceTransformerConfig(model=str(ensure_builtin_reference()), device="cpu")
    )

    selectors: dict[str, BatchSelector] = {
        "joint": JointSelector(JointConfig(super_batch_size=1000, learner_weight=0.0)),
        "independent": IndependentSelector(
            IndependentConfig(super_batch_size=1000, learner_weight=0.0)
        ),
    }

    num_rows = min(len(corpus) // 1000, num_super_batches) * 1000

    super_batches = np.split(np.arange(num_rows, dtype=np.int64), num_rows // 1000)

    labels = np.array(corpus.labels(np.arange(num_rows, dtype=np.int64)))

    results: list[dict[str, Any]] = []
    expected: dict[tuple[str, int], set[int]] = {}

    for form, config in FORMS.items():
        reference = open_reference(encoder, corpus, num_rows, scratch / "forms", config)

        Filler(reference).run(range(reference.score_store.num_chunks), verify=True)

        result: dict[str, Any] = {
            "form": form,
            "bytes_per_pair": 2 * (reference.stores[0].file.record_size + 8) + 4,
        }

        for name, selector in selectors.items():
            overlaps, noise = [], []

            for number, rows in enumerate(super_batches):
                source, target = (torch.from_numpy(side) for side in reference.embed(rows))

                batch = SuperBatch(
                    num_rows=len(rows), reference=EmbeddedPairs(source=source, target=target)
                )

                selection = selector.select(batch, torch.Generator().manual_seed(number))

                chosen = set(rows[selection.indices.numpy()].tolist())

                overlaps.append(
                    len(chosen & expected.setdefault((name, number), chosen)) / len(chosen)
                )
                noise.append(float(np.mean(labels[list(chosen)] != "clean")))

            result[f"{name}_overlap"] = fmean(overlaps)
            result[f"{name}_noise"] = fmean(noise)

        results.append(result)

    return results


def fill_table(fills: list[dict[str, Any]]) -> str:
    titles = (
        "model",
        "pairs",
        "batch",
        "fill, texts/s",
        "`encode` alone, texts/s",
        "ratio, wall",
        "ratio, CPU time",
        "predicted / actual time",
    )

    rows = [
        (
            fill["model"],
            f"{fill['pairs']:,}",
            fill["batch_size"],
            f"{fill['fill_rate']:,.0f}",
            f"{fill['alone_rate']:,.0f}",
            f"{fill['ratio']:.3f}",
            f"{fill['cpu_ratio']:.3f} ± {fill['cpu_ratio_error']:.3f}",
            f"{fill['predicted_to_actual']:.2f}",
        )
        for fill in fills
    ]

    return markdown_table(titles, rows)


def form_table(forms: list[dict[str, Any]]) -> str:
    titles = (
        "form",
        "bytes a pair",
        "same pairs, joint",
        "same pairs, independent",
        "noise, joint",
        "noise, independent",
    )

    shares = ("joint_overlap", "independent_overlap", "joint_noise", "independent_noise")

    rows = [
        (form["form"], f"{form['bytes_per_pair']:,}", *(f"{form[key]:.1%}" for key in shares))
        for form in forms
    ]

    return markdown_table(titles, rows)


if __name__ == "__main__":
    main()
