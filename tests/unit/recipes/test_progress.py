from __future__ import annotations

import pytest
from fairseq2.utils.progress import NOOP_PROGRESS_REPORTER

from fairseq2_jest.recipes.progress import Progress


def test_progress_counts_all_ranks_and_tells_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = "fairseq2_jest.recipes.progress"

    now, done, logged = [0.0], [100], list[str]()

    monkeypatch.setattr(f"{module}.monotonic", lambda: now[0])
    monkeypatch.setattr(f"{module}.log.info", lambda text, *args: logged.append(text.format(*args)))

    progress = Progress(
        "translate",
        "lines",
        1000,
        lambda: done[0],
        reporter=NOOP_PROGRESS_REPORTER,
        log_every_seconds=10.0,
    )

    # A block by another rank, and half of an own one.
    done[0] = 200

    now[0] = 5.0
    progress.update(50)

    assert logged == []

    now[0] = 10.0
    progress.update(50)

    assert logged == ["250 of 1,000 lines, 15.0 lines/s, 50 s left."]


def test_a_rank_that_shows_nothing_neither_counts_nor_logs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> int:
        raise AssertionError

    monkeypatch.setattr("fairseq2_jest.recipes.progress._SECONDS_BETWEEN_COUNTS", 0.0)

    progress = Progress("score", "pairs", 10, fail, reporter=None, log_every_seconds=0.0)

    progress.update()
    progress.close()
