"""How far a fill is, as seen in the store: what other processes fill counts, too."""

from __future__ import annotations

from time import monotonic
from types import TracebackType

from fairseq2.logging import log
from fairseq2.utils.progress import NOOP_PROGRESS_REPORTER, ProgressReporter

from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.prediction import count_complete

# The store is counted through, which takes a tenth of a second for ten million pairs.
_SECONDS_BETWEEN_COUNTS = 2.0


class FillProgress:
    """A progress bar, and a line in the log now and then, with rate and time left."""

    def __init__(
        self,
        reference: CachedReference,
        reporter: ProgressReporter | None,
        log_every_seconds: float,
    ) -> None:
        """
        :param reporter: ``None`` for a rank that shows nothing.
        """
        self._reference = reference
        self._is_shown = reporter is not None
        self._log_every_seconds = log_every_seconds
        self._count = self._first_count = count_complete(reference) if self._is_shown else 0
        self._begin = self._last_count_at = self._last_log_at = monotonic()
        self._task = (reporter or NOOP_PROGRESS_REPORTER).create_task(
            "embed", total=reference.num_rows, completed=self._count
        )

    def update(self) -> None:
        """Shows what has changed, if it is time to."""
        now = monotonic()

        if not self._is_shown or now - self._last_count_at < _SECONDS_BETWEEN_COUNTS:
            return

        self._last_count_at = now

        count = count_complete(self._reference)

        self._task.step(count - self._count)

        self._count = count

        if now - self._last_log_at >= self._log_every_seconds:
            self._last_log_at = now

            self._log(now - self._begin)

    def _log(self, elapsed: float) -> None:
        rate, total = (self._count - self._first_count) / elapsed, self._reference.num_rows

        left = format_seconds((total - self._count) / rate) if rate > 0.0 else "an unknown time"

        log.info("{:,} of {:,} pairs, {:,.0f} pairs/s, {} left.", self._count, total, rate, left)

    def __enter__(self) -> FillProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task.close()


def format_bytes(num_bytes: int) -> str:
    """``1.5 GB`` and the like, in powers of 1000."""
    value, unit = float(num_bytes), "B"

    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000.0 or unit == "TB":
            break

        value /= 1000.0

    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def format_seconds(seconds: float) -> str:
    """``H:MM:SS``."""
    minutes, rest = divmod(round(seconds), 60)

    hours, minutes = divmod(minutes, 60)

    return f"{hours}:{minutes:02}:{rest:02}"
