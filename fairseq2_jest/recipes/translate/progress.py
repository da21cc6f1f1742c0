"""How far a translation is, as seen in its blocks: what other processes translate counts, too."""

from __future__ import annotations

from time import monotonic

from fairseq2.logging import log
from fairseq2.utils.progress import NOOP_PROGRESS_REPORTER, ProgressReporter

from fairseq2_jest.recipes.embed.progress import format_seconds
from fairseq2_jest.translation.shards import Shards

_SECONDS_BETWEEN_COUNTS = 2.0


class TranslationProgress:
    """A progress bar, and a line in the log now and then, with rate and time left."""

    def __init__(
        self, shards: Shards, reporter: ProgressReporter | None, log_every_seconds: float
    ) -> None:
        """
        :param reporter: ``None`` for a rank that shows nothing.
        """
        self._shards = shards
        self._is_shown = reporter is not None
        self._log_every_seconds = log_every_seconds
        self._count = self._first_count = self._count_lines() if self._is_shown else 0
        self._begin = self._last_count_at = self._last_log_at = monotonic()
        self._task = (reporter or NOOP_PROGRESS_REPORTER).create_task(
            "translate", total=shards.num_lines, completed=self._count
        )

    def update(self, num_under_way: float) -> None:
        """Shows what has changed, if it is time to.

        :param num_under_way: Lines of the own block that are done; it is not complete yet.
        """
        now = monotonic()

        if not self._is_shown or now - self._last_count_at < _SECONDS_BETWEEN_COUNTS:
            return

        self._last_count_at = now

        count = max(self._count, self._count_lines() + round(num_under_way))

        self._task.step(count - self._count)

        self._count = count

        if now - self._last_log_at >= self._log_every_seconds:
            self._last_log_at = now

            self._log(now - self._begin)

    def close(self) -> None:
        """Takes the bar away."""
        self._task.close()

    def _count_lines(self) -> int:
        return sum(self._shards.size_of(block) for block in self._shards.present())

    def _log(self, elapsed: float) -> None:
        rate, total = (self._count - self._first_count) / elapsed, self._shards.num_lines

        left = format_seconds((total - self._count) / rate) if rate > 0.0 else "an unknown time"

        log.info("{:,} of {:,} lines, {:,.1f} lines/s, {} left.", self._count, total, rate, left)
