"""Times the steps of all variants, in turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from fairseq2.gang import create_fake_gangs
from fairseq2.models.nllb.factory import create_nllb_model
from fairseq2.models.transformer import TransformerModel
from torch.nn import Module

from benchmarks.bitext import Pair, open_pairs, train_tokenizer
from benchmarks.selection_cost.shapes import TOKENIZER_SIZE, Shape
from benchmarks.selection_cost.stores import filled_reference, filled_reference_loss
from benchmarks.selection_cost.variants import ReaderInTurn, Variant, as_it_would_be, compiled
from benchmarks.steps import SteppedRun, StepTimes
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.embedder import SuperBatchEmbedder
from fairseq2_jest.selection.iid import IidConfig, IidSelector
from fairseq2_jest.selection.joint import JointConfig, JointSelector
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.selector import BatchSelector
from fairseq2_jest.selection.tokenizing import PairTokenizer, SuperBatchReader
from fairseq2_jest.training.flops import FlopsModel, predict_selection_cost


class Bench:
    """One model, one corpus with its filled stores, and a reader for each variant."""

    def __init__(
        self, shape: Shape, device: torch.device, pairs: Sequence[Pair], scratch: Path
    ) -> None:
        self._shape = shape
        self._device = device
        self._gangs = create_fake_gangs(device)

        self._tokenizer = train_tokenizer(
            pairs, scratch, min(TOKENIZER_SIZE, shape.model.vocab_size)
        )

        # More than the steps get to see need not be in the stores.
        pairs = pairs[: 5 * shape.super_batch_size]

        print(f"Preparing {len(pairs):,} pairs.", flush=True)

        self._corpus = open_pairs(pairs, scratch)
        self._reference = filled_reference(self._corpus)
        self._reference_loss = filled_reference_loss(shape, self._corpus, self._tokenizer)

    def measure(self, rows: Sequence[Variant]) -> list[dict[str, Any]]:
        """Lets the variants take turns; those that are compiled come on their own, after all."""
        plain = [row for row in rows if not row.compiled]

        results = self._measure(plain, self._model())

        for row in rows:
            if not row.compiled:
                continue

            try:
                results += self._measure([row], compiled(self._model()))
            except Exception as ex:  # torch.compile raises what it pleases
                print(f"{row.name}: not measured, {type(ex).__name__}: {ex}", flush=True)

        return results

    @property
    def mean_length(self) -> float:
        """Tokens of a side of a pair on average, special tokens left out."""
        _, pairs = self._pair_tokenizer()(np.arange(min(2000, len(self._corpus)), dtype=np.int64))

        return (sum(map(len, pairs.source)) + sum(map(len, pairs.target))) / (2 * len(pairs))

    def _model(self) -> TransformerModel:
        torch.manual_seed(1)

        return create_nllb_model(self._shape.model).to(self._device).train()

    def _measure(self, rows: Sequence[Variant], model: TransformerModel) -> list[dict[str, Any]]:
        fused = True if self._device.type == "cuda" else None

        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, betas=(0.9, 0.98), fused=fused)

        padding = PaddingCount(model)

        runs = [self._run(row, model, optimizer) for row in rows]

        times: list[list[StepTimes]] = [[] for _ in rows]
        looked_at = [(0, 0)] * len(rows)

        for step in range(1 + self._shape.num_steps):
            for number, (row, run) in enumerate(zip(rows, runs, strict=True)):
                with as_it_would_be(row):
                    step_times = run.step()

                # The first is for caches, allocators and compilers.
                if step > 0:
                    times[number].append(step_times)

                looked_at[number] = padding.take()

            print(f"step {step} of {self._shape.num_steps} done", flush=True)

        flops = FlopsModel.of(model)

        return [
            _result(row, run, flops, taken, padded)
            for row, run, taken, padded in zip(rows, runs, times, looked_at, strict=True)
        ]

    def _run(
        self, row: Variant, model: TransformerModel, optimizer: torch.optim.Optimizer
    ) -> SteppedRun:
        shape = self._shape

        size = shape.super_batch_size

        selector: BatchSelector

        if row.selector is None:
            selector = IidSelector(IidConfig(batch_size=size // 10))
        else:
            selector = JointSelector(JointConfig(super_batch_size=size, **row.selector))

        autocast_dtype = torch.bfloat16 if row.autocast and self._device.type == "cuda" else None

        forward_pass = ForwardPass(
            model,
            device=self._device,
            max_num_tokens=shape.max_num_tokens,
            autocast_dtype=autocast_dtype,
            gang=self._gangs.dp,
        )

        learner = learner_loss = None

        if selector.needs_learner:
            learner = LearnerEncoder(forward_pass, self._tokenizer, num_layers=row.num_layers)
        if selector.needs_learner_loss:
            learner_loss = TranslationLoss(forward_pass, self._tokenizer)

        super_batches = SuperBatchReader if row.read_ahead else ReaderInTurn

        reader = SelectingDataReader(
            corpus=self._corpus,
            super_batches=super_batches(
                CorpusSampler(self._corpus.sizes, self._corpus.weights, seed=1),
                self._pair_tokenizer(),
                selector.super_batch_size,
            ),
            selector=selector,
            embedder=SuperBatchEmbedder(
                selector,
                self._gangs,
                learner=learner,
                learner_loss=learner_loss,
                reference=self._reference,
                reference_loss=self._reference_loss,
                max_num_tokens=row.max_num_tokens,
            ),
            batcher=MicroBatcher(self._tokenizer, max_num_tokens=shape.max_num_tokens),
            gangs=self._gangs,
            seed=2,
        )

        return SteppedRun(model, reader, optimizer, self._gangs, autocast_dtype=autocast_dtype)

    def _pair_tokenizer(self) -> PairTokenizer:
        return PairTokenizer(self._corpus, self._tokenizer, max_seq_len=self._shape.max_seq_len)


class PaddingCount:
    """How many of the tokens that a model's encoder is shown without gradient are padding."""

    def __init__(self, model: TransformerModel) -> None:
        self._tokens = self._places = 0

        model.encoder_frontend.register_forward_pre_hook(self._count)

    def _count(self, module: Module, args: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled():
            return

        seqs, layout = args

        self._tokens += sum(layout.seq_lens)
        self._places += seqs.numel()

    def take(self) -> tuple[int, int]:
        """Tokens, and tokens with padding, since the last call."""
        taken = (self._tokens, self._places)

        self._tokens = self._places = 0

        return taken


def _result(
    row: Variant,
    run: SteppedRun,
    flops: FlopsModel,
    times: Sequence[StepTimes],
    looked_at: tuple[int, int],
) -> dict[str, Any]:
    tokens, places = looked_at

    return {
        "name": row.name,
        "selecting": median(step.selecting for step in times),
        "reading": median(step.reading for step in times),
        "training": median(step.training for step in times),
        "share": median(step.selecting / step.total for step in times),
        "predicted_flops": predict_selection_cost(flops, run.reader.embedder.passes),
        "counted_flops": run.counted("selection_flops") / run.counted("training_flops"),
        "padding": 1.0 - tokens / places if places > 0 else None,
        "steps": [asdict(step) for step in times],
    }
