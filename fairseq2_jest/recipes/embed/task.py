"""Predicts, fills and sums up."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from time import monotonic

from fairseq2.gang import Gangs, all_sum
from fairseq2.logging import log
from fairseq2.utils.progress import ProgressReporter
from typing_extensions import override

from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.fill import Filler, chunks_of_rank, merge
from fairseq2_jest.embedding.prediction import (
    FillSize,
    count_complete,
    predict_size,
    time_sample,
)
from fairseq2_jest.files import write_json
from fairseq2_jest.recipes.embed.config import FillConfig
from fairseq2_jest.recipes.progress import Progress
from fairseq2_jest.recipes.task import PiecewiseTask
from fairseq2_jest.report.units import format_bytes, format_seconds

# A sample of more than this share of what is missing would take longer than it tells.
_MAX_SAMPLE_SHARE = 0.02
_MIN_SAMPLE = 64


class EmbedTask(PiecewiseTask):
    """Completes the store of a corpus, the processes of a gang sharing the work."""

    def __init__(
        self,
        reference: CachedReference,
        config: FillConfig,
        *,
        gangs: Gangs,
        progress_reporter: ProgressReporter,
        summary_file: Path,
    ) -> None:
        """
        :param summary_file: Where the first rank writes size, time and rate, as JSON.
        """
        super().__init__()

        self._reference = reference
        self._config = config
        self._gangs = gangs
        self._progress_reporter = progress_reporter
        self._summary_file = summary_file

    @override
    def run(self) -> None:
        gang, reference = self._gangs.root, self._reference

        own, others = chunks_of_rank(reference.score_store.num_chunks, gang.rank, gang.size)

        for folder in self._config.merge_from:
            num_copied = int(all_sum(gang, merge(reference, folder, own)))

            log.info("Copied {:,} embeddings from {}.", num_copied, folder)

        gang.barrier()

        size = predict_size(reference)

        _check_room(size, reference.score_store.file.path)

        rate = self._predict_rate(size)

        begin = monotonic()

        self._fill(own, others)

        # The others may be at their last chunks.
        gang.barrier()

        elapsed = monotonic() - begin

        if gang.rank == 0:
            self._sum_up(size, rate, elapsed)

        self._gangs.close()

    def _predict_rate(self, size: FillSize) -> float | None:
        """Says what the fill will take, and returns the pairs a second of all ranks."""
        gang = self._gangs.root

        log.info(
            "The store of {:,} pairs takes {}, {} of them new; {:,} pairs are missing.",
            size.num_rows,
            format_bytes(size.num_bytes),
            format_bytes(size.num_missing_bytes),
            size.num_missing,
        )

        # What is missing may change at any time, but all ranks must agree to sample.
        num_missing = int(all_sum(gang, size.num_missing)) // gang.size

        sample_size = min(self._config.sample_size, int(_MAX_SAMPLE_SHARE * num_missing))

        if sample_size < min(_MIN_SAMPLE, self._config.sample_size) or sample_size == 0:
            return None

        rate = float(all_sum(gang, time_sample(self._reference, sample_size)))

        log.info(
            "A sample of {:,} pairs ran at {:,.0f} pairs/s, hence the fill takes about {}.",
            sample_size,
            rate,
            format_seconds(num_missing / rate),
        )

        return rate

    def _fill(self, own: Iterable[int], others: Iterable[int]) -> None:
        gang, reference = self._gangs.root, self._reference

        with self._progress_reporter:
            progress = Progress(
                "embed",
                "pairs",
                reference.num_rows,
                lambda: count_complete(reference),
                reporter=self._progress_reporter if gang.rank == 0 else None,
                log_every_seconds=self._config.log_every_seconds,
            )

            def on_chunk(chunk: int) -> None:
                self.count_piece()

                progress.update()

                self.stop_if_requested()

            with closing(progress):
                filler = Filler(reference, on_chunk=on_chunk)

                filler.run(own, verify=True)
                filler.run(others, verify=False)

    def _sum_up(self, size: FillSize, rate: float | None, elapsed: float) -> None:
        log.info(
            "All {:,} pairs are embedded: {:,} in {}, {:,.0f} pairs/s. The store is in {}.",
            size.num_rows,
            size.num_missing,
            format_seconds(elapsed),
            size.num_missing / elapsed,
            self._reference.score_store.file.path.parent.parent,
        )

        summary = {
            "pairs": size.num_rows,
            "pairs_missing_at_start": size.num_missing,
            "bytes": size.num_bytes,
            "seconds": elapsed,
            "predicted_seconds": None if rate is None else size.num_missing / rate,
            "folders": sorted(
                file.path.parent.name
                for file in (
                    *(store.file for store in self._reference.stores),
                    self._reference.score_store.file,
                )
            ),
        }

        write_json(self._summary_file, summary)


def _check_room(size: FillSize, path: Path) -> None:
    free = shutil.disk_usage(path.parent).free

    if size.num_missing_bytes > free:
        raise EmbeddingError(
            f"The store needs {format_bytes(size.num_missing_bytes)} more, but {path.parent} has "
            f"{format_bytes(free)} left: make room, name another cache folder in "
            "FAIRSEQ2_JEST_CACHE_DIR, or set `reference_store.precision` to int8."
        )
