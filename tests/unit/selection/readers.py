"""Readers of a small corpus, and what they read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang, Gangs

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.embedder import SuperBatchEmbedder
from fairseq2_jest.selection.joint import JointConfig, JointSelector
from fairseq2_jest.selection.log import SelectionLog
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.selector import BatchSelector
from fairseq2_jest.selection.tokenizing import PairTokenizer, SuperBatchReader
from tests.hashing import HashingEncoder
from tests.unit.tiny import gangs_of, model, open_corpus, sentences, tokenizer

ALONE = gangs_of(FakeGang(CPU))


def labelled_corpus(folder: Path) -> Corpus:
    """60 rows in two directions, and a label on every row."""
    rows = [
        (source, target, "misaligned" if number % 3 == 0 else "clean")
        for number, (source, target) in enumerate(sentences(60))
    ]

    return open_corpus(
        folder,
        [
            ("eng_Latn-deu_Latn", rows[:40]),
            ("deu_Latn-eng_Latn", [(target, source, label) for source, target, label in rows[40:]]),
        ],
    )


def joint(num: int = 24, filter_ratio: float = 0.5) -> BatchSelector:
    return JointSelector(JointConfig(super_batch_size=num, filter_ratio=filter_ratio, num_chunks=3))


def reader_of(
    corpus: Corpus,
    folder: Path,
    *,
    selector: BatchSelector | None = None,
    gangs: Gangs = ALONE,
    seed: int = 5,
    max_seq_len: int = 64,
    log: SelectionLog | None = None,
    budget: int = 160,
) -> SelectingDataReader:
    selector = selector or joint()

    return SelectingDataReader(
        corpus=corpus,
        super_batches=SuperBatchReader(
            CorpusSampler(corpus.sizes, corpus.weights, seed=7),
            PairTokenizer(corpus, tokenizer(), max_seq_len=max_seq_len),
            selector.super_batch_size,
        ),
        selector=selector,
        embedder=SuperBatchEmbedder(
            selector,
            gangs,
            learner=LearnerEncoder(
                ForwardPass(model(), device=CPU, max_num_tokens=200), tokenizer()
            ),
            reference=CachedReference.open(
                HashingEncoder(),
                corpus,
                corpus_digest=corpus.digest,
                num_rows=len(corpus),
                folder=folder / "store",
            ),
        ),
        batcher=MicroBatcher(tokenizer(), max_num_tokens=budget),
        gangs=gangs,
        seed=seed,
        log=log,
    )


def chosen(file: Path) -> list[list[int]]:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))

    return [line["rows"] for line in lines]


def texts_of(batches: Sequence[Seq2SeqBatch]) -> Counter[str]:
    """The source texts in batches; each is of one row."""
    decode = tokenizer().create_decoder(skip_special_tokens=True)

    return Counter(
        decode(seq[:seq_len])
        for batch in batches
        for seq, seq_len in zip(batch.source_seqs, batch.source_seq_lens, strict=True)
    )


def distinct_rows(sampler: CorpusSampler, num: int) -> list[int]:
    rows: dict[int, None] = {}

    while len(rows) < num:
        rows.setdefault(int(sampler.next_rows(1)[0]))

    return list(rows)


def texts_of_rows(corpus: Corpus, rows: Sequence[int]) -> Counter[str]:
    return Counter(corpus.texts(np.array(rows, dtype=np.int64))[0])
