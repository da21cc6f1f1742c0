"""The data reader that trains on what a batch selector chooses."""

from __future__ import annotations

import time
from collections.abc import Callable
from hashlib import blake2b

import numpy as np
import torch
from fairseq2.datasets import DataReader, Seq2SeqBatch
from fairseq2.gang import Gang, Gangs
from fairseq2.models.transformer import TransformerModel
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import Self

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.reference_loss import ReferenceLoss
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.audit import SelectionAudit
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.errors import ResumeError, SelectionError
from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.log import SelectionLog
from fairseq2_jest.selection.metrics import (
    SelectionStats,
    describe_selection,
    names_of_means,
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
        learner: LearnerEncoder | None,
        learner_loss: TranslationLoss | None = None,
        reference: CachedReference | None,
        reference_loss: ReferenceLoss | None = None,
        batcher: MicroBatcher,
        gangs: Gangs,
        seed: int,
        num_steps: int | None = None,
        log: SelectionLog | None = None,
        audit: SelectionAudit | None = None,
    ) -> None:
        """
        :param learner: Needed only by a selector that asks for it.
        :param learner_loss: Likewise.
        :param reference: Likewise.
        :param reference_loss: Likewise.
        :param num_steps: How many steps the run has, for weights that change over it; ``None``
            where that is not known, and they stay as they begin.
        :param log: Where rank 0 writes what was chosen.
        :param audit: Where it writes why, every so many steps.
        """
        self._corpus = corpus
        self._super_batches = super_batches
        self._selector = selector
        self._learner = learner if selector.needs_learner else None
        self._learner_loss = learner_loss if selector.needs_learner_loss else None
        self._reference = reference if selector.needs_reference else None
        self._reference_loss = reference_loss if selector.needs_reference_loss else None
        self._batcher = batcher
        self._gangs = gangs
        self._log = log if gangs.root.rank == 0 else None
        self._audit = audit if gangs.root.rank == 0 else None
        self._generator = torch.Generator().manual_seed(seed)
        self._num_steps = num_steps
        self._step = 0
        self._restored = False
        self._filled_tokens = (0, 0)
        self._last: tuple[NDArray[np.int64], SuperBatch, Selection] | None = None

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

        super_batch = self._embed(tokenized.rows, tokenized.pairs)

        selection = self._selector.select(super_batch, self._generator)

        indices = selection.indices.tolist()

        seconds = time.perf_counter() - begin

        chosen = tokenized.rows[indices]

        self._check_agreement(chosen)

        self._step += 1

        self._last = (tokenized.rows, super_batch, selection)

        self._write_logs()

        labels = self._corpus.labels(tokenized.rows)

        chosen_labels = [labels[i] for i in indices]

        means = describe_selection(super_batch, selection)

        encoded, decoded = self._passed_tokens(tokenized.pairs, super_batch.shortlist)

        self.last_stats = SelectionStats(
            num_seen=len(tokenized.rows) + tokenized.num_too_long,
            num_too_long=tokenized.num_too_long,
            num_selected=len(indices),
            seconds=seconds,
            num_noise_seen=num_noise(labels),
            num_noise_selected=num_noise(chosen_labels),
            num_known_seen=num_known(labels),
            num_known_selected=num_known(chosen_labels),
            encoded_tokens=encoded,
            decoded_tokens=decoded,
            filled_tokens=self._filled_tokens,
            means={name: means[name] for name in self.mean_names if name in means},
        )

        gang = self._gangs.dp

        return self._batcher.batches(
            tokenized.pairs.take(indices), rank=gang.rank, num_ranks=gang.size
        )

    @property
    def mean_names(self) -> list[str]:
        """The names of the averages that every step reports, see :class:`SelectionStats`."""
        return names_of_means(
            learner=self._learner is not None,
            learner_loss=self._learner_loss is not None,
            reference_loss=self._reference_loss is not None,
            reference=self._reference is not None,
            draws=self._selector.draws,
            filters=self._selector.sub_batch_size < self._selector.super_batch_size,
        )

    @property
    def passes(self) -> tuple[float, float]:
        """How many sides of a pair go through encoder and decoder for the learner's view, for each
        pair that is trained on; lengths taken as equal."""
        num_listed = self._selector.shortlist_size / self._selector.sub_batch_size

        encoded = 0.0 if self._learner is None else 2.0 * self._learner.share_of_encoder
        decoded = 0.0 if self._learner_loss is None else 1.0

        return num_listed * (encoded + decoded), num_listed * decoded

    @property
    def reference_model(self) -> TransformerModel | None:
        """The model whose loss the selector asks for."""
        return None if self._reference_loss is None else self._reference_loss.model

    @property
    def is_labelled(self) -> bool:
        """Whether the corpus says which pairs are noise."""
        return self._corpus.is_labelled

    def _embed(self, rows: NDArray[np.int64], pairs: TokenizedPairs) -> SuperBatch:
        reference = shortlist = learner = learner_loss = reference_loss = None

        gang = self._gangs.dp

        if self._reference is not None:
            source, target = (
                torch.from_numpy(side).to(self._gangs.device)
                for side in self._reference.embed(rows[_slice(len(rows), gang)])
            )

            reference = EmbeddedPairs(
                source=_gather(source, len(rows), gang), target=_gather(target, len(rows), gang)
            )

            shortlist = self._selector.shortlist(reference)

        listed = pairs if shortlist is None else pairs.take(shortlist.tolist())

        my_places = _slice(len(listed), gang)

        mine = listed.take(my_places.tolist())

        if self._learner is not None:
            learner = EmbeddedPairs(
                source=_gather(self._learner.encode_source(mine), len(listed), gang),
                target=_gather(self._learner.encode_target(mine), len(listed), gang),
            )

        if self._learner_loss is not None:
            losses = self._learner_loss.score(mine).unsqueeze(1)

            learner_loss = _gather(losses, len(listed), gang).squeeze(1)

        if self._reference_loss is not None:
            listed_rows = rows if shortlist is None else rows[shortlist.cpu().numpy()]

            reference_loss = self._irreducible(listed_rows[my_places], mine, len(listed))

        return SuperBatch(
            num_rows=len(rows),
            reference=reference,
            shortlist=shortlist,
            learner=learner,
            learner_loss=learner_loss,
            reference_loss=reference_loss,
            progress=self._progress(),
        )

    def _progress(self) -> float:
        if self._num_steps is None or self._num_steps < 2:
            return 0.0

        return min(1.0, self._step / (self._num_steps - 1))

    def _irreducible(
        self, rows: NDArray[np.int64], pairs: TokenizedPairs, num_listed: int
    ) -> Tensor:
        """What the reference model loses on all that are listed, given this rank's share."""
        assert self._reference_loss is not None

        gang = self._gangs.dp

        losses, made = self._reference_loss.score(rows, pairs)

        self._filled_tokens = self._reference_loss.num_tokens(pairs.take(made.tolist()))

        return _gather(
            torch.from_numpy(losses).to(self._gangs.device).unsqueeze(1), num_listed, gang
        ).squeeze(1)

    def _passed_tokens(self, pairs: TokenizedPairs, shortlist: Tensor | None) -> tuple[float, int]:
        """How many tokens went through encoder and decoder for the learner's view."""
        encoded, decoded = 0.0, 0

        if shortlist is not None:
            pairs = pairs.take(shortlist.tolist())

        if self._learner is not None:
            encoded += self._learner.share_of_encoder * self._learner.num_tokens(pairs)

        if self._learner_loss is not None:
            sources, targets = self._learner_loss.num_tokens(pairs)

            encoded, decoded = encoded + sources, decoded + targets

        return encoded, decoded

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


def _slice(num_rows: int, gang: Gang) -> NDArray[np.int64]:
    """The places that a rank embeds; never none, since embedding may be a collective."""
    share = -(-num_rows // gang.size)

    begin = gang.rank * share

    return np.arange(begin, min(begin + share, num_rows)) if begin < num_rows else np.arange(1)


def _gather(mine: Tensor, num_rows: int, gang: Gang) -> Tensor:
    """Puts the ranks' slices together; the last ones may be shorter, or empty and then cut off."""
    if gang.size == 1:
        return mine

    padded = mine.new_zeros((-(-num_rows // gang.size), mine.size(1)))
    padded[: len(mine)] = mine

    shares = [torch.empty_like(padded) for _ in range(gang.size)]

    gang.all_gather_to_list(shares, padded)

    return torch.cat(shares)[:num_rows]
