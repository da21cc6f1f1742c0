"""Translates the blocks of a file that are missing, and puts all of them together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic

from fairseq2.gang import Gangs
from fairseq2.logging import log
from fairseq2.utils.progress import ProgressReporter
from typing_extensions import override

from fairseq2_jest.recipes.progress import Progress
from fairseq2_jest.recipes.task import PiecewiseTask
from fairseq2_jest.report.units import format_seconds
from fairseq2_jest.translation.rendering import Renderer, write_output
from fairseq2_jest.translation.shards import Shards
from fairseq2_jest.translation.source import SourceFile, Survey
from fairseq2_jest.translation.translator import Translator


class TranslateTask(PiecewiseTask):
    """Translates a file, the processes of a gang sharing its blocks."""

    def __init__(
        self,
        source: SourceFile,
        survey: Survey,
        shards: Shards,
        missing: list[int],
        translator: Translator | None,
        renderer: Renderer,
        output_file: Path,
        *,
        gangs: Gangs,
        output_dir: Path,
        progress_reporter: ProgressReporter,
        log_every_seconds: float,
    ) -> None:
        """
        :param missing: The blocks to translate, the same on all ranks.
        :param translator: Needed where a block is missing.
        :param output_dir: Where the first rank writes what it counted.
        """
        super().__init__()

        self._source = source
        self._survey = survey
        self._shards = shards
        self._missing = missing
        self._translator = translator
        self._renderer = renderer
        self._output_file = output_file
        self._gangs = gangs
        self._output_dir = output_dir
        self._progress_reporter = progress_reporter
        self._log_every_seconds = log_every_seconds

    @override
    def run(self) -> None:
        gang = self._gangs.root

        begin = monotonic()

        if self._translator is not None:
            self._translate(self._translator)

        # The others may be at their last blocks.
        gang.barrier()

        elapsed = monotonic() - begin

        is_first = gang.rank == 0

        # Nobody waits for the first rank to write, which can take longer than a gang's timeout.
        self._gangs.close()

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
                for block, lines in enumerate(self._source.blocks(shards.block_size)):
                    if block not in own:
                        continue

                    def on_batch(share: float, num_lines: int = len(lines)) -> None:
                        self.stop_if_requested()

                        progress.update(share * num_lines)

                    translations = translator([line.text for line in lines], on_batch)

                    self._source.check_unchanged(self._survey)

                    shards.write(block, translations)

                    self.count_piece()

                    own.remove(block)

                    if not own:
                        break

    def _write(self, elapsed: float) -> None:
        counts: Counter[str] = Counter()

        self._source.check_unchanged(self._survey)

        write_output(self._output_file, self._render(counts))

        num_new = sum(self._shards.size_of(block) for block in self._missing)

        log.info(
            "All {:,} lines are translated: {:,} in {}, {:,.1f} lines/s. They are in {}.",
            self._shards.num_lines,
            num_new,
            format_seconds(elapsed),
            num_new / max(elapsed, 1e-9),
            self._output_file,
        )

        summary = {
            "lines": self._shards.num_lines,
            **{key: counts[key] for key in ("empty", "split", "not_translated")},
            "new_lines": num_new,
            "seconds": elapsed,
            "lines_per_second": num_new / max(elapsed, 1e-9),
            "output": str(self._output_file),
        }

        (self._output_dir / "translate.json").write_text(
            json.dumps(summary, indent=2) + "\n", encoding="utf-8"
        )

    def _render(self, counts: Counter[str]) -> Iterator[str]:
        """Yields the lines of the output; lists those that are too long on the way."""
        header = self._renderer.header()

        if header is not None:
            yield header

        file = self._output_dir / "not_translated.tsv"

        with file.open("w", encoding="utf-8") as too_long:
            too_long.write("line\ttokens\n")

            for number, (line, translation) in enumerate(
                zip(self._source.read(), self._shards.read(), strict=True), start=1
            ):
                counts["empty"] += not line.text
                counts["split"] += translation.num_parts > 1

                if translation.num_tokens is not None:
                    counts["not_translated"] += 1

                    too_long.write(f"{number}\t{translation.num_tokens}\n")

                yield self._renderer.render(line, translation)

        if counts["not_translated"] == 0:
            file.unlink()
        else:
            log.warning(
                "{:,} line(s) are longer than translation.max_source_len and were not translated; "
                "{} lists them.",
                counts["not_translated"],
                file,
            )
