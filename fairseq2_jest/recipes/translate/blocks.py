"""Translates the blocks of lines that are missing, the processes of a gang sharing them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing
from time import monotonic, sleep

import numpy as np
from fairseq2.device import CPU
from fairseq2.gang import Gangs
from fairseq2.logging import log
from fairseq2.utils.progress import ProgressReporter
from fairseq2.utils.rng import RngBag
from typing_extensions import override

from fairseq2_jest.recipes.progress import Progress
from fairseq2_jest.recipes.task import PiecewiseTask
from fairseq2_jest.translation.result import Translation
from fairseq2_jest.translation.shards import Shards
from fairseq2_jest.translation.translator import OnBatch, Translator

_SECONDS_BETWEEN_LOOKS = 0.5


class BlockTranslationTask(PiecewiseTask):
    """Translates what is missing; a subclass says what there is, and what becomes of it."""

    def __init__(
        self,
        shards: Shards,
        missing: list[int],
        translator: Translator | None,
        *,
        seed: int,
        gangs: Gangs,
        gang_timeout: float,
        progress_reporter: ProgressReporter,
        log_every_seconds: float,
    ) -> None:
        """
        :param missing: The blocks to translate, the same on all ranks.
        :param translator: Needed where a block is missing.
        :param seed: Of what the generator draws, if it does.
        :param gang_timeout: How long processes wait for each other while nothing happens, in
            minutes.
        """
        super().__init__()

        self._shards = shards
        self._missing = missing
        self._translator = translator
        self._seed = seed
        self._gangs = gangs
        self._gang_timeout = gang_timeout
        self._progress_reporter = progress_reporter
        self._log_every_seconds = log_every_seconds

    @abstractmethod
    def _blocks(self) -> Iterator[Sequence[str]]:
        """Yields the texts of each block, in order."""

    @abstractmethod
    def _check_unchanged(self) -> None:
        """
        :raises TranslationError: The texts are not what they were.
        """

    @abstractmethod
    def _write(self, seconds: float) -> None:
        """Puts all translations together, on the first rank alone, without the others."""

    def _leave_gang(self) -> None:
        """Does what is left for all processes together, when all is translated; a collective."""
        # Nobody waits for the first rank to write, which can take longer than a gang's timeout.
        self._gangs.close()

    @override
    def run(self) -> None:
        gang = self._gangs.root

        begin = monotonic()

        if self._translator is not None:
            self._translate(self._translator)

        gang.barrier()

        elapsed = monotonic() - begin

        is_first = gang.rank == 0

        self._leave_gang()

        if is_first:
            self._write(elapsed)

    def _translate(self, translator: Translator) -> None:
        gang, shards = self._gangs.root, self._shards

        own = set(self._missing[gang.rank :: gang.size])

        with self._progress_reporter:
            progress = Progress(
                "translate",
                "lines",
                shards.num_lines,
                shards.count_lines,
                reporter=self._progress_reporter if gang.rank == 0 else None,
                log_every_seconds=self._log_every_seconds,
            )

            with closing(progress):
                for block, texts in enumerate(self._blocks()):
                    if block not in own:
                        continue

                    def on_batch(share: float, num_lines: int = len(texts)) -> None:
                        self.stop_if_requested()

                        progress.update(share * num_lines)

                    translations = self._translate_block(translator, block, texts, on_batch)

                    self._check_unchanged()

                    shards.write(block, translations)

                    self.count_piece()

                    own.remove(block)

                    if not own:
                        break

                self._wait_for_others(progress)

    def _wait_for_others(self, progress: Progress) -> None:
        """Returns when all blocks are there, or when there was no new one for so long that those
        who make them are taken for dead.

        A collective would not wait for a process that has hours of blocks to go.
        """
        missing = set(self._missing)

        left, since = missing - self._shards.present(), monotonic()

        while left and monotonic() - since < 60.0 * self._gang_timeout:
            sleep(_SECONDS_BETWEEN_LOOKS)

            self.stop_if_requested()

            progress.update()

            if (now_left := missing - self._shards.present()) != left:
                left, since = now_left, monotonic()

        if left:
            log.warning(
                "There was no new block of lines for {} minute(s), and {:,} are missing: the "
                "processes that were to translate them seem to be gone.",
                self._gang_timeout,
                len(left),
            )

    def _translate_block(
        self, translator: Translator, block: int, texts: Sequence[str], on_batch: OnBatch
    ) -> list[Translation]:
        # What is drawn depends on the block alone, whoever translates it and what came before.
        seed = np.random.SeedSequence([self._seed, block]).generate_state(1)

        rng = RngBag.from_device_defaults(CPU, self._gangs.device)

        with rng.temporary_manual_seed(int(seed[0])):
            return translator(texts, on_batch)

    @property
    def num_new_lines(self) -> int:
        """How many lines all processes translated."""
        return sum(self._shards.size_of(block) for block in self._missing)
