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
import json
import os
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.gang import Gangs
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model
from fairseq2.models.transformer import TransformerModel
from numpy.typing import NDArray
from torch.nn import Module
from typing_extensions import override

from benchmarks.steps import (
    Pair,
    SteppedRun,
    StepTimes,
    gangs_of_one,
    open_pairs,
    read_pairs,
    train_tokenizer,
)
from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding import learner_pass
from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.fill import Filler
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.reference import ReferenceEncoder
from fairseq2_jest.embedding.reference_loss import ReferenceLoss, digest_of_weights
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.iid import IidConfig, IidSelector
from fairseq2_jest.selection.joint import JointConfig, JointSelector
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.selector import BatchSelector
from fairseq2_jest.selection.tokenizing import (
    PairTokenizer,
    SuperBatchReader,
    TokenizedSuperBatch,
)
from fairseq2_jest.training.flops import FlopsModel, predict_selection_cost

ROOT: Final = Path(__file__).resolve().parent.parent

RESULTS: Final = ROOT / "benchmarks" / "results" / "selection_cost"

REFERENCE_DIM: Final = 768

TOKENIZER_SIZE: Final = 16_000


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A model, and how many pairs a step chooses from how many."""

    model: NllbConfig
    super_batch_size: int
    max_seq_len: int
    max_num_tokens: int
    num_layers: tuple[int, int, int]
    """How many encoder layers the rows of fewer layers run, falling."""

    num_steps: int
    """Measured steps of each row."""


SHAPES: Final = {
    "small": Shape(
        model=NllbConfig(
            model_dim=256,
            max_seq_len=128,
            vocab_size=TOKENIZER_SIZE,
            num_encoder_layers=6,
            num_decoder_layers=6,
            num_encoder_attn_heads=4,
            num_decoder_attn_heads=4,
            ffn_inner_dim=1024,
        ),
        super_batch_size=160,
        max_seq_len=64,
        max_num_tokens=2048,
        num_layers=(3, 2, 1),
        num_steps=3,
    ),
    "nllb-600m": Shape(
        model=NllbConfig(
            model_dim=1024,
            max_seq_len=1024,
            vocab_size=256_206,
            num_encoder_layers=12,
            num_decoder_layers=12,
            ffn_inner_dim=4096,
        ),
        super_batch_size=4000,
        max_seq_len=256,
        max_num_tokens=8192,
        num_layers=(6, 2, 1),
        num_steps=8,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A row of the table: one way of selecting."""

    name: str

    selector: Mapping[str, Any] | None = field(default_factory=dict)
    """What differs from the defaults of ``joint``; ``None`` is ``iid``."""

    num_layers: int | None = None
    """How many encoder layers the learner's similarity is taken from; ``None`` for all."""

    sorted_by_length: bool = True
    """Whether the learner's pass sorts its batches by length."""

    read_ahead: bool = True
    """Whether the next super-batch is read while this one is trained on."""

    autocast: bool = True
    """Whether selecting and training run in bf16 where the device is a GPU."""

    compiled: bool = False
    """Whether the layers of the model are compiled."""


def variants(shape: Shape, *, on_gpu: bool) -> list[Variant]:
    """The rows; the first is what the others are compared with."""
    half, two, one = shape.num_layers

    loss = {"learner_view": "loss"}
    reducible = {"learner_view": "reducible_loss"}

    rows = [
        Variant(name="similarity, all layers"),
        Variant(name=f"similarity, {half} layers", num_layers=half),
        Variant(name=f"similarity, {two} layers", num_layers=two),
        Variant(name=f"similarity, {one} layer", num_layers=one),
        Variant(name="similarity, shortlist 0.3", selector={"shortlist": 0.3}),
        Variant(
            name=f"similarity, {two} layers, shortlist 0.3",
            selector={"shortlist": 0.3},
            num_layers=two,
        ),
        Variant(name="loss", selector=loss),
        Variant(name="loss, shortlist 0.3", selector={**loss, "shortlist": 0.3}),
        Variant(name="loss, shortlist 0.2", selector={**loss, "shortlist": 0.2}),
        Variant(name="reducible loss", selector=reducible),
        Variant(name="reducible loss, shortlist 0.3", selector={**reducible, "shortlist": 0.3}),
        Variant(name="reducible loss, shortlist 0.2", selector={**reducible, "shortlist": 0.2}),
        Variant(name="reference only", selector={"learner_weight": 0.0}),
        Variant(name="iid", selector=None),
        Variant(name="similarity, all layers, unsorted batches", sorted_by_length=False),
        Variant(
            name="reference only, no read-ahead",
            selector={"learner_weight": 0.0},
            read_ahead=False,
        ),
    ]

    if on_gpu:
        rows += [
            Variant(name="similarity, all layers, fp32", autocast=False),
            Variant(name="similarity, all layers, compiled", compiled=True),
        ]

    return rows


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
    (args.out / f"{stem}.json").write_text(
        json.dumps({"caption": text.splitlines()[0], "rows": rows}, indent=1) + "\n",
        encoding="utf-8",
    )


class Bench:
    """One model, one corpus with its filled stores, and a reader for each variant."""

    def __init__(
        self, shape: Shape, device: torch.device, pairs: Sequence[Pair], scratch: Path
    ) -> None:
        self._shape = shape
        self._device = device
        self._gangs: Gangs = gangs_of_one(device)

        self._tokenizer = train_tokenizer(pairs, scratch, TOKENIZER_SIZE)

        # More than the steps get to see need not be in the stores.
        pairs = pairs[: 5 * shape.super_batch_size]

        print(f"Preparing {len(pairs):,} pairs.", flush=True)

        self._corpus = open_pairs(pairs, scratch)
        self._reference = _filled_reference(self._corpus)
        self._reference_loss = _filled_reference_loss(shape, self._corpus, self._tokenizer)

    def measure(self, rows: Sequence[Variant]) -> list[dict[str, Any]]:
        """Lets the variants take turns; those that are compiled come on their own, after all."""
        plain = [row for row in rows if not row.compiled]

        results = self._measure(plain, self._model())

        for row in rows:
            if not row.compiled:
                continue

            try:
                results += self._measure([row], _compiled(self._model()))
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
                with _as_it_would_be(row):
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

        how: dict[str, Any] = {
            "device": self._device,
            "max_num_tokens": shape.max_num_tokens,
            "autocast_dtype": autocast_dtype,
            "gang": self._gangs.dp,
        }

        learner = learner_loss = None

        if selector.needs_learner:
            learner = LearnerEncoder(model, self._tokenizer, num_layers=row.num_layers, **how)
        if selector.needs_learner_loss:
            learner_loss = TranslationLoss(model, self._tokenizer, **how)

        super_batches = SuperBatchReader if row.read_ahead else ReaderInTurn

        reader = SelectingDataReader(
            corpus=self._corpus,
            super_batches=super_batches(
                CorpusSampler(self._corpus.sizes, self._corpus.weights, seed=1),
                self._pair_tokenizer(),
                selector.super_batch_size,
            ),
            selector=selector,
            learner=learner,
            learner_loss=learner_loss,
            reference=self._reference,
            reference_loss=self._reference_loss,
            batcher=MicroBatcher(self._tokenizer, max_num_tokens=shape.max_num_tokens),
            gangs=self._gangs,
            seed=2,
        )

        return SteppedRun(model, reader, optimizer, self._gangs, autocast_dtype=autocast_dtype)

    def _pair_tokenizer(self) -> PairTokenizer:
        return PairTokenizer(self._corpus, self._tokenizer, max_seq_len=self._shape.max_seq_len)


class ReaderInTurn(SuperBatchReader):
    """Reads a super-batch when it is asked for, and none ahead."""

    @override
    def read(self) -> TokenizedSuperBatch:
        super_batch = self._submit().result()

        self._state = super_batch.sampler_state

        return super_batch


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


class RandomReference(ReferenceEncoder):
    """A random direction for each text."""

    @override
    def encode(self, texts: Sequence[str], lang: str | None = None) -> NDArray[np.float32]:
        vectors = np.stack(
            [
                np.random.default_rng(zlib.crc32(text.encode())).standard_normal(REFERENCE_DIM)
                for text in texts
            ]
        )

        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        return unit.astype(np.float32)

    @property
    @override
    def dim(self) -> int:
        return REFERENCE_DIM

    @property
    @override
    def identity(self) -> Mapping[str, str]:
        return {"encoder": "random"}


def unsorted_batches(lengths: Sequence[int], max_num_tokens: int) -> Iterator[list[int]]:
    """Sequences in their order, in padded batches within the same budget of tokens."""
    batch: list[int] = []

    longest = 0

    for index, length in enumerate(lengths):
        longest = max(longest, length)

        if batch and (len(batch) + 1) * longest > max_num_tokens:
            yield batch

            batch, longest = [], length

        batch.append(index)

    if batch:
        yield batch


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table."""
    titles = (
        "learner's view",
        "selecting",
        "ratio",
        "reading",
        "training",
        "share of step",
        "FLOPs for each of training, predicted",
        "counted",
        "padding",
    )

    lines = [" | ".join(titles), " | ".join("---" for _ in titles)]

    for row in rows:
        ratio = row["selecting"] / rows[0]["selecting"]

        cells = (
            row["name"],
            _seconds(row["selecting"]),
            f"{ratio:.2f}" if ratio >= 0.01 else f"{ratio:.4f}",
            _seconds(row["reading"]),
            _seconds(row["training"]),
            f"{row['share']:.1%}",
            f"{row['predicted_flops']:.2f}",
            f"{row['counted_flops']:.2f}",
            "" if row["padding"] is None else f"{row['padding']:.1%}",
        )

        lines.append(" | ".join(cells))

    return "\n".join(f"| {line} |" for line in lines)


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
        "predicted_flops": predict_selection_cost(flops, run.reader.passes),
        "counted_flops": run.counted("selection_flops") / run.counted("training_flops"),
        "padding": 1.0 - tokens / places if places > 0 else None,
        "steps": [asdict(step) for step in times],
    }


def _as_it_would_be(row: Variant) -> ExitStack:
    """Takes savings away that the package has no switch for."""
    stack = ExitStack()

    if not row.sorted_by_length:
        stack.enter_context(patch.object(learner_pass, "batches_by_length", unsorted_batches))

    return stack


def _compiled(model: TransformerModel) -> TransformerModel:
    # fairseq2 0.8.1 has no compiler for the family nllb, so `model.compile` is no way to it.
    for layer in (*model.encoder.layers, *model.decoder.layers):
        layer.compile(dynamic=True)

    return model


def _texts(data: Path, shape: Shape) -> list[Pair]:
    if (data / "train.en").is_file():
        return read_pairs(data)

    from fairseq2_jest.corpus.builtin import BuiltinConfig, generate

    size = 5 * shape.super_batch_size

    return [(p.source, p.target) for p in generate(BuiltinConfig(part="pretrain", size=size))]


def _filled_reference(corpus: Corpus) -> CachedReference:
    reference = CachedReference.open(
        RandomReference(), corpus, corpus_digest=corpus.digest, num_rows=len(corpus)
    )

    Filler(reference).run(range(reference.score_store.num_chunks), verify=False)

    return reference


def _filled_reference_loss(shape: Shape, corpus: Corpus, tokenizer: Tokenizer) -> ReferenceLoss:
    """The losses of a model that costs next to nothing: where they come from does not matter."""
    config = NllbConfig(
        model_dim=8,
        max_seq_len=shape.model.max_seq_len,
        vocab_size=tokenizer.vocab_info.size,
        num_encoder_layers=1,
        num_decoder_layers=1,
        num_encoder_attn_heads=1,
        num_decoder_attn_heads=1,
        ffn_inner_dim=8,
    )

    model = create_nllb_model(config)

    losses = ReferenceLoss.open(
        TranslationLoss(model, tokenizer, device=torch.device("cpu"), max_num_tokens=8192),
        model_digest=digest_of_weights(model),
        corpus_digest=corpus.digest,
        num_rows=len(corpus),
    )

    pair_tokenizer = PairTokenizer(corpus, tokenizer, max_seq_len=shape.max_seq_len)

    for rows in np.array_split(np.arange(len(corpus), dtype=np.int64), 10):
        losses.score(*pair_tokenizer(rows))

    return losses


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


def _seconds(value: float) -> str:
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.1f} ms"


if __name__ == "__main__":
    main()
