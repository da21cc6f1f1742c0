"""The data reader that trains on what a batch selector chooses."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import torch
from fairseq2.datasets import DataReader, Seq2SeqBatch
from fairseq2.gang import Gangs
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.selection.audit import SelectionAudit
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.embedder import SuperBatchEmbedder
from fairseq2_jest.selection.errors import ResumeError, SelectionError
from fairseq2_jest.selection.log import SelectionLog
from fairseq2_jest.selection.metrics import (
    SelectionStats,
    describe_selection,
    num_known,
    num_noise,
)
from fairseq2_jest.selection.selector import BatchSelector, Selection, SuperBatch
from fairseq2_jest.selection.tokenizing import SuperBatchReader


class SelectingDataReader(DataReader[Seq2SeqBatch]):
    """Reads a super-batch, embeds it, selects, and hands out the sub-batch as micro-batches.

    Every data parallel rank reads the same super-batch, embeds its slice, gathers the others', and
    draws the same selection from a generator of its own with the same seed; the ranks check each
    other's choice by hash and train on their share of it, in equally many micro-batches.
    """

    def __init__(
        self,
        *,
        corpus: Corpus,
        super_batches: SuperBatchReader,
        selector: BatchSelector,
        embedder: SuperBatchEmbedder,
        batcher: MicroBatcher,
        gangs: Gangs,
        seed: int,
        num_steps: int | None = None,
        log: SelectionLog | None = None,
        audit: SelectionAudit | None = None,
    ) -> None:
        """
        :param embedder: Takes the views that ``selector`` asks for.
        :param num_steps: How many steps the run has, for weights that change over it; ``None``
            where that is not known, and they stay as they begin.
        :param log: Where rank 0 writes what was chosen.
        :param audit: Where it writes why, every so many steps.
        """
        self._corpus = corpus
        self._super_batches = super_batches
        self._selector = selector
        self._batcher = batcher
        self._gangs = gangs
        self._log = log if gangs.root.rank == 0 else None
        self._audit = audit if gangs.root.rank == 0 else None
        self._generator = torch.Generator().manual_seed(seed)
        self._num_steps = num_steps
        self._step = 0
        self._restored = False
        self._last: tuple[NDArray[np.int64], SuperBatch, Selection] | None = None

        self.embedder = embedder
        """Takes the views of each super-batch."""

        self.last_stats: SelectionStats | None = None
        """Figures of the last step that was read."""

        self.on_read: Callable[[], None] | None = None
        """Called as a step begins to be read; a clock of steps starts there."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[Seq2SeqBatch]:
        if self.on_read is not None:
            self.on_read()

        if self._step == 0 and not self._restored:
            self._truncate_logs(0)

        tokenized = self._super_batches.read()

        if len(tokenized.rows) == 0:
            raise SelectionError(
                "All pairs of a super-batch are longer than dataset.max_seq_len; raise it, or "
                "clean the corpus."
            )

        device = self._gangs.device

        if device.type == "cuda":
            # What is still queued belongs to the training step, not to selecting.
            torch.cuda.synchronize(device)

        begin = time.perf_counter()

        super_batch = self.embedder.embed(tokenized.rows, tokenized.pairs, self._progress())

        selection = self._selector.select(super_batch, self._generator)

        indices = selection.indices.tolist()

        seconds = time.perf_counter() - begin

        chosen = tokenized.rows[indices]

        sub_batch = tokenized.pairs.take(indices)

        self._check_agreement(chosen)

        self._step += 1

        self._last = (tokenized.rows, super_batch, selection)

        self._write_logs()

        synthetic = self._corpus.synthetic(tokenized.rows)

        labels = self._corpus.labels(tokenized.rows)

        chosen_labels = [labels[i] for i in indices]

        means = describe_selection(super_batch, selection)

        encoded, decoded = self.embedder.passed_tokens(tokenized.pairs, super_batch.shortlist)

        self.last_stats = SelectionStats(
            num_seen=len(tokenized.rows) + tokenized.num_too_long,
            num_too_long=tokenized.num_too_long,
            num_selected=len(indices),
            seconds=seconds,
            num_noise_seen=num_noise(labels),
            num_noise_selected=num_noise(chosen_labels),
            num_known_seen=num_known(labels),
            num_known_selected=num_known(chosen_labels),
            num_synthetic_seen=int(synthetic.sum()),
            num_synthetic_selected=int(synthetic[indices].sum()),
            encoded_tokens=encoded,
            decoded_tokens=decoded,
            filled_tokens=self.embedder.filled_tokens,
            trained_tokens=self._batcher.num_tokens(sub_batch),
            means={name: means[name] for name in self.embedder.mean_names if name in means},
        )

        gang = self._gangs.dp

        return self._batcher.batches(sub_batch, rank=gang.rank, num_ranks=gang.size)

    @property
    def is_labelled(self) -> bool:
        """Whether the corpus says which pairs are noise."""
        return self._corpus.is_labelled

    @property
    def has_synthetic(self) -> bool:
        """Whether the corpus has pairs whose source was made by a model."""
        return self._corpus.has_synthetic

    def _progress(self) -> float:
        if self._num_steps is None or self._num_steps < 2:
            return 0.0

        return min(1.0, self._step / (self._num_steps - 1))

    def _check_agreement(self, chosen: NDArray[np.int64]) -> None:
        gang = self._gangs.dp

        if gang.size == 1:
            return

        digest = blake2b(chosen.tobytes(), digest_size=7).digest()

        mine = torch.tensor([int.from_bytes(digest, "little")], device=gang.device)

        digests = [torch.empty_like(mine) for _ in range(gang.size)]

        gang.all_gather_to_list(digests, mine)

        if any(int(other) != int(mine) for other in digests):
            raise SelectionError(
                f"The ranks chose different pairs at step {self._step + 1}; their corpora, models "
                f"or configurations differ."
            )

    def reset(self) -> None:
        """Does nothing: the stream of super-batches has no end to go back from."""

    def state_dict(self) -> dict[str, object]:
        return {
            "step": self._step,
            "corpus": self._corpus.digest,
            "super_batches": self._super_batches.state_dict(),
            "generator": self._generator.get_state(),
        }

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """
        :raises ResumeError: The state is of another corpus.
        """
        if state_dict["corpus"] != self._corpus.digest:
            raise ResumeError(
                "The training corpus is not the one this run was started with; give the run "
                "another output directory, or restore the corpus."
            )

        step, generator = state_dict["step"], state_dict["generator"]
        super_batches = state_dict["super_batches"]

        assert isinstance(step, int)
        assert isinstance(generator, Tensor)
        assert isinstance(super_batches, dict)

        self._step = step
        self._restored = True

        try:
            self._super_batches.load_state_dict(super_batches)
        except CorpusError as ex:
            raise ResumeError(str(ex)) from ex

        self._generator.set_state(generator.cpu())

        self._truncate_logs(step)

    def at_step(self, step_nr: int) -> None:
        """The trainer says which step the last super-batch is for.

        Where a step overflows in fp16 and is tried again, that is the same as before; the logs then
        tell of the last attempt.
        """
        if step_nr == self._step or self._last is None:
            return

        self._truncate_logs(step_nr - 1)

        self._step = step_nr

        self._write_logs()

    def _write_logs(self) -> None:
        assert self._last is not None

        rows, super_batch, selection = self._last

        if self._log is not None:
            self._log.append(self._step, rows[selection.indices.tolist()].tolist())

        if self._audit is not None:
            self._audit.record(self._step, rows, super_batch, selection)

    def _truncate_logs(self, last_step: int) -> None:
        for log in (self._log, self._audit):
            if log is not None:
                log.truncate(last_step)

    @property
    def num_accumulate(self) -> int:
        """How many micro-batches a step has is left to the budget of tokens."""
        return 1
