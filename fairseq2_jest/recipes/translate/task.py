"""Translates the blocks of a file that are missing, and puts all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from fairseq2.gang import Gangs
from fairseq2.logging import log
from fairseq2.utils.progress import ProgressReporter
from typing_extensions import override

from fairseq2_jest.files import write_json
from fairseq2_jest.recipes.translate.blocks import BlockTranslationTask
from fairseq2_jest.report.units import format_seconds
from fairseq2_jest.translation.errors import writing
from fairseq2_jest.translation.rendering import Renderer, write_output
from fairseq2_jest.translation.shards import Shards
from fairseq2_jest.translation.source import SourceFile, Survey
from fairseq2_jest.translation.translator import Translator


class TranslateTask(BlockTranslationTask):
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
        seed: int,
        gangs: Gangs,
        gang_timeout: float,
        output_dir: Path,
        progress_reporter: ProgressReporter,
        log_every_seconds: float,
    ) -> None:
        """
        :param missing: The blocks to translate, the same on all ranks.
        :param translator: Needed where a block is missing.
        :param seed: Of what its generator draws, if it does.
        :param gang_timeout: How long processes wait for each other while nothing happens, in
            minutes.
        :param output_dir: Where the first rank writes what it counted.
        """
        super().__init__(
            shards,
            missing,
            translator,
            seed=seed,
            gangs=gangs,
            gang_timeout=gang_timeout,
            progress_reporter=progress_reporter,
            log_every_seconds=log_every_seconds,
        )

        self._source = source
        self._survey = survey
        self._renderer = renderer
        self._output_file = output_file
        self._output_dir = output_dir

    @override
    def _blocks(self) -> Iterator[Sequence[str]]:
        for lines in self._source.blocks(self._shards.block_size):
            yield [line.text for line in lines]

    @override
    def _check_unchanged(self) -> None:
        self._source.check_unchanged(self._survey)

    @override
    def _write(self, seconds: float) -> None:
        counts: Counter[str] = Counter()

        self._check_unchanged()

        write_output(self._output_file, self._render(counts))

        log.info(
            "All {:,} lines are translated: {:,} in {}, {:,.1f} lines/s. They are in {}.",
            self._shards.num_lines,
            self.num_new_lines,
            format_seconds(seconds),
            self.num_new_lines / max(seconds, 1e-9),
            self._output_file,
        )

        summary = {
            "lines": self._shards.num_lines,
            **{key: counts[key] for key in ("empty", "split", "not_translated")},
            "new_lines": self.num_new_lines,
            "seconds": seconds,
            "lines_per_second": self.num_new_lines / max(seconds, 1e-9),
            "output": str(self._output_file),
        }

        write_json(self._output_dir / "translate.json", summary)

    def _render(self, counts: Counter[str]) -> Iterator[str]:
        """Yields the lines of the output; lists those that are too long on the way."""
        header = self._renderer.header()

        if header is not None:
            yield header

        file = self._output_dir / "not_translated.tsv"

        with writing(file), file.open("w", encoding="utf-8") as too_long:
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
