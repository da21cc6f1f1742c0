"""Translates monolingual text back and keeps what makes good pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from fairseq2.gang import Gangs
from fairseq2.logging import log
from fairseq2.utils.progress import ProgressReporter
from typing_extensions import override

from fairseq2_jest.augmentation.errors import AugmentationError
from fairseq2_jest.augmentation.filters import PairFilter
from fairseq2_jest.augmentation.language_identification import LanguageLikelihood
from fairseq2_jest.augmentation.noise import SourceNoise
from fairseq2_jest.augmentation.round_trip import RoundTripScore
from fairseq2_jest.corpus.cleaning import Reason, text_damage
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.prepare import PreparedCorpus
from fairseq2_jest.corpus.table import CorpusTable
from fairseq2_jest.embedding.reference import ReferenceEncoder
from fairseq2_jest.files import write_json
from fairseq2_jest.recipes.backtranslate.config import BacktranslateConfig
from fairseq2_jest.recipes.backtranslate.forward import ForwardTranslation
from fairseq2_jest.recipes.backtranslate.output import SyntheticCorpus, SyntheticPair
from fairseq2_jest.recipes.translate.blocks import BlockTranslationTask
from fairseq2_jest.report.units import format_seconds
from fairseq2_jest.translation.rendering import write_output
from fairseq2_jest.translation.result import Translation
from fairseq2_jest.translation.shards import Shards
from fairseq2_jest.translation.translator import Translator

_ROWS_AT_ONCE = 1024


class Judged(NamedTuple):
    """A pair, and why it is rejected."""

    pair: SyntheticPair
    reason: Reason | None


class BacktranslateTask(BlockTranslationTask):
    """Makes a corpus of synthetic pairs, the processes of a gang sharing its blocks."""

    def __init__(
        self,
        config: BacktranslateConfig,
        direction: Direction,
        prepared: PreparedCorpus,
        table: CorpusTable,
        shards: Shards,
        missing: list[int],
        translator: Translator | None,
        load_reference: Callable[[], ReferenceEncoder],
        forward: ForwardTranslation | None,
        release_model: Callable[[], None],
        source_language: LanguageLikelihood,
        *,
        gangs: Gangs,
        output_dir: Path,
        progress_reporter: ProgressReporter,
    ) -> None:
        """
        :param direction: That of the pairs.
        :param prepared: The cleaned lines, whose ``table`` has them as targets.
        :param missing: The blocks to translate, the same on all ranks.
        :param translator: Translates against ``direction``; needed where a block is missing.
        :param load_reference: Called where the config has a limit for reference scores.
        :param forward: Needed where the config has a limit for round trips.
        :param release_model: Called when the translator is of no use any more.
        """
        super().__init__(
            shards,
            missing,
            translator,
            seed=config.common.seed,
            gangs=gangs,
            gang_timeout=config.gang.timeout,
            progress_reporter=progress_reporter,
            log_every_seconds=config.translation.log_every_seconds,
        )

        self._config = config
        self._direction = direction
        self._prepared = prepared
        self._table = table
        self._load_reference = load_reference
        self._forward = forward
        self._release_model = release_model
        self._round_trips: Shards | None = None
        self._filter = PairFilter(config.filters, source_language)
        self._output_dir = output_dir

    @override
    def _blocks(self) -> Iterator[Sequence[str]]:
        for block in range(self._shards.num_blocks):
            yield self._table.texts(self._rows(block))[1]

    def _rows(self, block: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        begin = block * self._shards.block_size

        return np.arange(begin, begin + self._shards.size_of(block), dtype=np.int64)

    @override
    def _check_unchanged(self) -> None:
        """The lines are a copy of the file's."""

    @override
    def _leave_gang(self) -> None:
        forward, gang = self._forward, self._gangs.root

        # Makes room for the forward model and the reference.
        if self._translator is not None:
            self._translator = None

            self._release_model()

        if forward is not None:
            forward.sources_file.parent.mkdir(exist_ok=True)

            # All write the same, and so have nobody to wait for who writes it for them.
            write_output(forward.sources_file, map(_source_line, self._shards.read()))

        # It is not to change while it is read.
        gang.barrier()

        super()._leave_gang()

        if forward is not None:
            log.info("Translating forward again, in {}.", forward.sources_file.parent)

            self._round_trips = forward(self._shards.num_lines)

    @override
    def _write(self, seconds: float) -> None:
        config, manifest = self._config, self._prepared.manifest

        corpus = SyntheticCorpus(self._output_dir, self._direction, self._prepared)

        noise = None

        if config.noise is not None:
            noise = SourceNoise(config.noise, self._direction.source, seed=config.common.seed)

        rejected: Counter[str] = Counter()

        with corpus.writing():
            for row, (pair, reason) in enumerate(self._judged()):
                if reason is not None:
                    rejected[reason.value] += 1

                    corpus.reject(pair, reason)
                else:
                    source = pair.source if noise is None else noise(pair.source, row)

                    corpus.add(pair._replace(source=source))

            if corpus.num_pairs == 0:
                raise AugmentationError(
                    f"No pair passes the filters ({_shown(rejected)}); make filters less strict, "
                    f"by what {self._output_dir / 'shards'} holds, or name another model."
                )

        numbers = {
            "lines": manifest.num_read,
            "rejected_lines": manifest.rejected,
            "translated": self._shards.num_lines,
            "rejected_pairs": dict(sorted(rejected.items())),
            "pairs": corpus.num_pairs,
            "new_lines": self.num_new_lines,
            "seconds": seconds,
            "lines_per_second": self.num_new_lines / max(seconds, 1e-9),
        }

        write_json(self._output_dir / "backtranslate.json", numbers)

        log.info(
            "{:,} of {:,} lines are translated ({:,} now, in {}), and {:,} pairs are kept; "
            "rejected: {}. Every reject is in {}.",
            self._shards.num_lines,
            manifest.num_read,
            self.num_new_lines,
            format_seconds(seconds),
            corpus.num_pairs,
            _shown(Counter(manifest.rejected) + rejected),
            corpus.rejects_file,
        )
        log.info(
            "Train on them beside your own pairs with: fairseq2 mt finetune OUT "
            "--config-file YOURS --config-file {}",
            corpus.config_file,
        )

    def _judged(self) -> Iterator[Judged]:
        """Yields a pair for each line that was translated, in order."""
        pairs = self._returned(self._filtered())

        min_score = self._config.filters.min_reference_score

        if min_score is None:
            yield from pairs

            return

        log.info("Scoring pairs with the reference encoder.")

        reference = self._load_reference()

        while block := list(islice(pairs, _ROWS_AT_ONCE)):
            kept = [pair for pair, reason in block if reason is None]

            scores = iter(self._scores(reference, kept))

            for judged in block:
                if judged.reason is None and next(scores) < min_score:
                    yield judged._replace(reason=Reason.REFERENCE_SCORE)
                else:
                    yield judged

    def _returned(self, pairs: Iterator[Judged]) -> Iterator[Judged]:
        min_score = self._config.filters.min_round_trip_chrf

        if min_score is None:
            yield from pairs

            return

        assert self._round_trips is not None

        score = RoundTripScore()

        for judged, translation in zip(pairs, self._round_trips.read(), strict=True):
            if judged.reason is None and score(translation.text, judged.pair.target) < min_score:
                yield judged._replace(reason=Reason.ROUND_TRIP)
            else:
                yield judged

    def _scores(self, reference: ReferenceEncoder, pairs: Sequence[SyntheticPair]) -> list[float]:
        if not pairs:
            return []

        source = reference.encode([pair.source for pair in pairs], self._direction.source)
        target = reference.encode([pair.target for pair in pairs], self._direction.target)

        scores: list[float] = (source * target).sum(axis=1).tolist()

        return scores

    def _filtered(self) -> Iterator[Judged]:
        translations = self._shards.read()

        for block in range(self._shards.num_blocks):
            rows = self._rows(block)

            targets, lines = self._table.texts(rows)[1], self._table.lines(rows).tolist()

            for target, line in zip(targets, lines, strict=True):
                translation = next(translations)

                pair = SyntheticPair(line, translation.text, target)

                if translation.num_tokens is not None:
                    yield Judged(pair, Reason.NOT_TRANSLATED)
                else:
                    yield Judged(pair, self._filter(pair.source, pair.target))


def _source_line(translation: Translation) -> str:
    # What cannot be put into a file is no source of a pair, either.
    return "" if text_damage(translation.text) else translation.text


def _shown(rejected: Counter[str]) -> str:
    shown = ", ".join(f"{count:,} {reason}" for reason, count in rejected.most_common())

    return shown or "none"
