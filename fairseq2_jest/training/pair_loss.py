"""The loss of a batch of pairs, in training and in validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.nn.functional import cross_entropy
from torch import Tensor
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.embedding.tokens import layout_of, pad, places_of


@dataclass(frozen=True, kw_only=True)
class BatchLoss:
    """What a model loses on a batch."""

    loss: Tensor
    """The sum over all tokens that are predicted. *Shape:* Scalar."""

    num_targets: int
    """How many these are."""

    given: Seq2SeqBatch
    """What the model was given, to be counted."""


class PairLoss(ABC):
    """Label-smoothed cross-entropy (as fairseq computes it) of the targets of a batch."""

    @abstractmethod
    def __call__(
        self, model: Module, batch: Seq2SeqBatch, *, label_smoothing: float = 0.0
    ) -> BatchLoss:
        """
        :param model: The model, or its data parallel wrapper.
        :param batch: Of a :class:`~fairseq2_jest.selection.batching.MicroBatcher`.
        """


class EncoderDecoderLoss(PairLoss):
    """Of the target, the language's token included."""

    @override
    def __call__(
        self, model: Module, batch: Seq2SeqBatch, *, label_smoothing: float = 0.0
    ) -> BatchLoss:
        input_batch, target_batch = batch.as_auto_regressive()

        source_seqs, source_layout = input_batch.as_source_input()
        target_seqs, target_layout = input_batch.as_target_input()

        loss: Tensor = model(
            source_seqs,
            source_layout,
            target_seqs,
            target_layout,
            targets=target_batch.seqs,
            label_smoothing=label_smoothing,
        )

        return BatchLoss(loss=loss, num_targets=target_batch.num_elements, given=input_batch)


class ResponseLoss(PairLoss):
    """Of the response, its end included, for a decoder-only model; of the prompt, nothing.

    A batch has prompts as its source and responses as its target.
    """

    @override
    def __call__(
        self, model: Module, batch: Seq2SeqBatch, *, label_smoothing: float = 0.0
    ) -> BatchLoss:
        prompt_lens, response_lens = batch.source_seq_lens, batch.target_seq_lens

        seqs, lengths = _join(batch.source_seqs, prompt_lens, batch.target_seqs, response_lens)

        # Position t predicts token t + 1: the last of the prompt the first of the response.
        inputs, input_lens = seqs[:, :-1], [length - 1 for length in lengths]

        scored = places_of(inputs, input_lens, [length - 1 for length in prompt_lens])

        logits: Tensor = model(inputs, layout_of(inputs, input_lens))

        # Padding is not among them, whatever its index.
        loss = cross_entropy(
            logits[scored], seqs[:, 1:][scored], None, label_smoothing=label_smoothing
        )

        return BatchLoss(loss=loss, num_targets=sum(response_lens), given=batch)


def _join(
    prompts: Tensor, prompt_lens: Sequence[int], responses: Tensor, response_lens: Sequence[int]
) -> tuple[Tensor, list[int]]:
    """Puts each response behind its prompt, where the padding was."""
    rows = zip(prompts, prompt_lens, responses, response_lens, strict=True)

    # What is behind a sequence does not matter.
    return pad([torch.cat([prompt[:p], response[:r]]) for prompt, p, response, r in rows], 0)
