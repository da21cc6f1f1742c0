"""How far a command is, as seen in what it has written: what other processes do counts, too."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from fairseq2.logging import log
from fairseq2.utils.progress import NOOP_PROGRESS_REPORTER, ProgressReporter

from fairseq2_jest.report.units import format_seconds

# Counting through a store takes a tenth of a second for ten million pairs.
_SECONDS_BETWEEN_COUNTS = 2.0


class Progress:
    """A progress bar, and a line in the log now and then, with rate and time left."""

    def __init__(
        self,
        task: str,
        unit: str,
        total: int,
        count: Callable[[], int],
        *,
        reporter: ProgressReporter | None,
        log_every_seconds: float,
    ) -> None:
        """
        :param task: What the bar is called.
        :param unit: What is counted, in the plural.
        :param count: How many of ``total`` are done, by all processes, now and before.
        :param reporter: ``None`` for a rank that shows nothing, since each would show the same.
        """
        self._unit = unit
        self._total = total
        self._count_done = count
        self._is_shown = reporter is not None
        self._log_every_seconds = log_every_seconds
        self._count = self._first_count = count() if self._is_shown else 0
        self._begin = self._last_count_at = self._last_log_at = monotonic()
        self._task = (reporter or NOOP_PROGRESS_REPORTER).create_task(
            task, total=total, completed=self._count
        )

    def update(self, num_under_way: float = 0.0) -> None:
        """Shows what has changed, if it is time to.

        :param num_under_way: What is done beside, and does not count yet.
        """
        now = monotonic()

        if not self._is_shown or now - self._last_count_at < _SECONDS_BETWEEN_COUNTS:
            return

        self._last_count_at = now

        count = max(self._count, self._count_done() + round(num_under_way))

        self._task.step(count - self._count)

        self._count = count

        if now - self._last_log_at >= self._log_every_seconds:
            self._last_log_at = now

            self._log(now - self._begin)

    def close(self) -> None:
        """Takes the bar away."""
        self._task.close()

    def _log(self, elapsed: float) -> None:
        rate = (self._count - self._first_count) / elapsed

        left = (
            format_seconds((self._total - self._count) / rate) if rate > 0.0 else "an unknown time"
        )

        log.info(
            "{:,} of {:,} {}, {:,.1f} {}/s, {} left.",
            self._count,
            self._total,
            self._unit,
            rate,
            self._unit,
            left,
        )
