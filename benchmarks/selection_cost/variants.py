"""The ways of selecting that are timed, savings that the package has no switch for included."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from fairseq2.models.transformer import TransformerModel
from typing_extensions import override

from benchmarks.selection_cost.shapes import Shape
from fairseq2_jest.embedding import forward_pass
from fairseq2_jest.selection.tokenizing import SuperBatchReader, TokenizedSuperBatch


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A row of the table: one way of selecting."""

    name: str

    selector: Mapping[str, Any] | None = field(default_factory=dict)
    """What differs from the defaults of ``joint``; ``None`` is ``iid``."""

    num_layers: int | None = None
    """How many encoder layers the learner's similarity is taken from; ``None`` for all."""

    max_num_tokens: int | None = None
    """How many tokens of a side the models look at; ``None`` for all."""

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
        Variant(
            name="reducible loss, shortlist 0.3, 16 tokens of a side",
            selector={**reducible, "shortlist": 0.3},
            max_num_tokens=16,
        ),
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


def as_it_would_be(row: Variant) -> AbstractContextManager[object]:
    """Runs a step without the saving that the row does without."""
    if row.sorted_by_length:
        return nullcontext()

    return patch.object(forward_pass, "batches_by_length", unsorted_batches)


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


class ReaderInTurn(SuperBatchReader):
    """Reads a super-batch when it is asked for, and none ahead."""

    @override
    def read(self) -> TokenizedSuperBatch:
        super_batch = self._submit().result()

        self._state = super_batch.sampler_state

        return super_batch


def compiled(model: TransformerModel) -> TransformerModel:
    """The model with its layers compiled."""
    # fairseq2 0.8.1 has no compiler for the family nllb, so `model.compile` is no way to it.
    for layer in (*model.encoder.layers, *model.decoder.layers):
        layer.compile(dynamic=True)

    return model
