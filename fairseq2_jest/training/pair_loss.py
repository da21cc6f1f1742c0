"""The loss of a batch of pairs, in training and in validation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from fairseq2.datasets import Seq2SeqBatch
from fairseq2.nn.functional import cross_entropy
from torch import Tensor
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.embedding.prompting import join_responses
from fairseq2_jest.embedding.tokens import layout_of


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
        joined = join_responses(
            _sequences(batch.source_seqs, batch.source_seq_lens),
            _sequences(batch.target_seqs, batch.target_seq_lens),
            pad_idx=0,
            device=batch.source_seqs.device,
        )

        logits: Tensor = model(joined.inputs, layout_of(joined.inputs, joined.input_lens))

        # Padding is not among them, whatever its index.
        loss = cross_entropy(
            logits[joined.scored],
            joined.labels[joined.scored],
            None,
            label_smoothing=label_smoothing,
        )

        return BatchLoss(loss=loss, num_targets=sum(batch.target_seq_lens), given=batch)


def _sequences(seqs: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """The rows of a padded batch, each without its padding."""
    return [seq[:length] for seq, length in zip(seqs, lengths, strict=True)]
