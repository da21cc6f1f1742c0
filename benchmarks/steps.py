"""Training steps as `fairseq2 mt finetune` runs them, for benchmarks to look into."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

# fairseq2.trainer cannot be imported first.
import fairseq2.recipe.base  # noqa: F401
import torch
from fairseq2.gang import Gangs
from fairseq2.metrics import MetricBag, Sum
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn.utils.grad import clip_grad_norm, normalize_grads
from torch.optim import Optimizer

from fairseq2_jest.embedding.forward_pass import autocast
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.training.clock import StepClock
from fairseq2_jest.training.flops import FlopsModel
from fairseq2_jest.training.unit import CriterionConfig, TranslationTrainUnit


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """Where the seconds of one training step went."""

    selecting: float
    """Embedding and choosing, as the reader reports it."""

    reading: float
    """What else the reader did: waiting for a super-batch, figures, micro-batches."""

    training: float
    """Forward and backward passes and the optimizer."""

    @property
    def total(self) -> float:
        return self.selecting + self.reading + self.training


class SteppedRun:
    """A reader and a model, and what fairseq2's trainer does with them in a step."""

    def __init__(
        self,
        model: TransformerModel,
        reader: SelectingDataReader,
        optimizer: Optimizer,
        gangs: Gangs,
        *,
        autocast_dtype: torch.dtype | None = None,
    ) -> None:
        self._model = model
        self._reader = reader
        self._optimizer = optimizer
        self._gangs = gangs
        self._autocast_dtype = autocast_dtype
        self._metrics = MetricBag(gangs.device)
        self._unit = TranslationTrainUnit(
            model, CriterionConfig(), reader, FlopsModel.of(model), StepClock()
        )
        self._unit.prepare_metric_bag(self._metrics)
        self._num_steps = 0

    @property
    def reader(self) -> SelectingDataReader:
        return self._reader

    def step(self) -> StepTimes:
        """Reads a super-batch, selects, and trains on what was chosen."""
        self._synchronize()

        begin = perf_counter()

        batches = next(self._reader)

        self._synchronize()

        read = perf_counter()

        self._num_steps += 1

        self._unit.set_step_nr(self._num_steps)

        num_targets = 0

        for batch in batches:
            batch.to(self._gangs.device, non_blocking=True)

            with autocast(self._gangs.device, self._autocast_dtype):
                loss, num_batch_targets = self._unit.process_batch(batch, self._metrics)

            num_targets += num_batch_targets

            loss.backward()

        normalize_grads(self._model, self._gangs.dp, num_targets)

        clip_grad_norm(self._model, 1.0)

        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)

        self._synchronize()

        end = perf_counter()

        stats = self._reader.last_stats

        assert stats is not None

        return StepTimes(
            selecting=stats.seconds, reading=read - begin - stats.seconds, training=end - read
        )

    def counted(self, name: str) -> float:
        """A metric that is summed over all steps."""
        return float(self._metrics.get(name, Sum).compute())

    def _synchronize(self) -> None:
        if self._gangs.device.type == "cuda":
            torch.cuda.synchronize(self._gangs.device)
