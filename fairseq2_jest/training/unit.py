"""One step of translation training on a sub-batch."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import SupportsFloat, cast

# fairseq2.trainer cannot be imported first.
import fairseq2.recipe.base  # noqa: F401
import torch
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.metrics import Mean, MetricBag, Sum
from fairseq2.metrics.common import (
    add_nll_loss_metric,
    add_seq2seq_batch_metrics,
    update_nll_loss_metric,
    update_seq2seq_batch_metrics,
)
from fairseq2.trainer import TrainUnit
from fairseq2.utils.validation import Validatable, ValidationResult
from torch import Tensor
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.training.clock import StepClock
from fairseq2_jest.training.flops import FlopsModel
from fairseq2_jest.training.metric_names import MEANS, TOTALS
from fairseq2_jest.training.pair_loss import EncoderDecoderLoss, PairLoss


@dataclass(frozen=True, kw_only=True)
class CriterionConfig(Validatable):
    """Configures the training loss."""

    label_smoothing: float = 0.1
    """The share of the probability that is spread over all other tokens of the vocabulary."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if not 0.0 <= self.label_smoothing < 1.0:
            result.add_error(f"`label_smoothing` must be in [0, 1), but is {self.label_smoothing}.")

        return result


class TranslationTrainUnit(TrainUnit[Seq2SeqBatch]):
    """Label-smoothed cross-entropy, and the figures of the selection that made the batch."""

    def __init__(
        self,
        model: Module,
        criterion: CriterionConfig,
        reader: SelectingDataReader,
        flops: FlopsModel,
        clock: StepClock,
        *,
        loss: PairLoss | None = None,
        reference_flops: FlopsModel | None = None,
        is_first_rank: bool = True,
    ) -> None:
        """
        :param model: The data parallel model.
        :param flops: Of that model.
        :param loss: By default that of encoder-decoder models.
        :param reference_flops: Of the reference model, where the selection asks for one.
        :param is_first_rank: Whether this rank counts what all ranks share.
        """
        self._model = model
        self._criterion = criterion
        self._loss = EncoderDecoderLoss() if loss is None else loss
        self._reader = reader
        self._flops = flops
        self._reference_flops = reference_flops
        self._clock = clock
        self._is_first_rank = is_first_rank
        self._metric_bag: MetricBag | None = None

    @override
    @torch.inference_mode()
    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        add_nll_loss_metric(metric_bag)
        add_seq2seq_batch_metrics(metric_bag)

        # All of them: a run may go on with another selector, and its checkpoint has their names.
        for name in MEANS:
            metric_bag.add(name, Mean())
        for name in TOTALS:
            metric_bag.add(name, Sum())
            metric_bag.add(f"total_{name}", Sum())

        self._metric_bag = metric_bag

    @override
    @torch.inference_mode()
    def set_step_nr(self, step_nr: int) -> None:
        self._reader.at_step(step_nr)

        stats, metric_bag = self._reader.last_stats, self._metric_bag

        if stats is None or metric_bag is None:
            return

        for name, value in stats.means.items():
            metric_bag.get(name, Mean).update(value)

        # Not each rank its own: what one has counted is lost where a run goes on with fewer.
        if self._is_first_rank:
            self._count("num_seen", stats.num_seen)
            self._count("num_selected", stats.num_selected)
            self._count("num_too_long", stats.num_too_long)
            self._count("num_noise_seen", stats.num_noise_seen)
            self._count("num_noise_selected", stats.num_noise_selected)
            self._count("num_known_seen", stats.num_known_seen)
            self._count("num_known_selected", stats.num_known_selected)
            self._count("num_synthetic_seen", stats.num_synthetic_seen)
            self._count("num_synthetic_selected", stats.num_synthetic_selected)
            self._count("selection_time", stats.seconds)
            self._count(
                "selection_flops", self._flops.forward(stats.encoded_tokens, stats.decoded_tokens)
            )

            self._count("training_flops", self._flops.training(*stats.trained_tokens))

            if self._reference_flops is not None:
                self._count("filling_flops", self._reference_flops.forward(*stats.filled_tokens))

            # That of this step comes too late for its record.
            self._count("step_time", self._clock.last_step)

    def _count(self, name: str, value: float) -> None:
        assert self._metric_bag is not None

        for key in (name, f"total_{name}"):
            self._metric_bag.get(key, Sum).update(value)

    @override
    def process_batch(self, batch: Seq2SeqBatch, metric_bag: MetricBag) -> tuple[Tensor, int]:
        result = self._loss(self._model, batch, label_smoothing=self._criterion.label_smoothing)

        update_nll_loss_metric(metric_bag, result.loss, num_targets=result.num_targets)
        update_seq2seq_batch_metrics(metric_bag, result.given)

        return result.loss, result.num_targets

    @override
    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        def value_of(name: str) -> float:
            return float(cast(SupportsFloat, values[name]))

        selection_time, step_time = value_of("selection_time"), value_of("step_time")

        if step_time > 0.0:
            values["selection_share"] = selection_time / step_time

        for name in MEANS:
            if name not in self._reader.embedder.mean_names:
                values.pop(name, None)

        applies = {
            "noise": self._reader.is_labelled,
            "known": self._reader.is_labelled,
            "synthetic": self._reader.has_synthetic,
        }

        for kind, has_kind in applies.items():
            if has_kind:
                for name in ("seen", "selected"):
                    total = value_of(f"num_{name}")
                    num = value_of(f"num_{kind}_{name}")

                    values[f"{kind}_share_{name}"] = num / max(1.0, total)
            else:
                for name in [name for name in values if f"num_{kind}_" in name]:
                    del values[name]
