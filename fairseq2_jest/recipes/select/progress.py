"""How far the scoring of a pool is, by what this process has done."""

from __future__ import annotations

from time import monotonic

from fairseq2.logging import log
from fairseq2.utils.progress import NOOP_PROGRESS_REPORTER, ProgressReporter

from fairseq2_jest.recipes.embed.progress import format_seconds


class ScoringProgress:
    """A progress bar, and a line in the log now and then, with rate and time left."""

    def __init__(
        self,
        num_pairs: int,
        num_ranks: int,
        reporter: ProgressReporter | None,
        log_every_seconds: float,
    ) -> None:
        """
        :param num_pairs: How many this process will score; the others score as many.
        :param reporter: ``None`` for a rank that shows nothing.
        """
        self._is_shown = reporter is not None
        self._num_pairs = num_pairs
        self._num_ranks = num_ranks
        self._log_every_seconds = log_every_seconds
        self._count = 0
        self._begin = self._last_log_at = monotonic()
        self._task = (reporter or NOOP_PROGRESS_REPORTER).create_task("score", total=num_pairs)

    def update(self, num_scored: int) -> None:
        """Shows that so many more pairs are scored."""
        self._count += num_scored

        self._task.step(num_scored)

        now = monotonic()

        if self._is_shown and now - self._last_log_at >= self._log_every_seconds:
            self._last_log_at = now

            rate = self._count / (now - self._begin)

            log.info(
                "{:,} of {:,} pairs, {:,.1f} pairs/s, {} left.",
                self._count * self._num_ranks,
                self._num_pairs * self._num_ranks,
                rate * self._num_ranks,
                format_seconds((self._num_pairs - self._count) / rate),
            )

    def close(self) -> None:
        """Takes the bar away."""
        self._task.close()
