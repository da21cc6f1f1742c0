"""Scores a pool, chooses from it, and writes what was chosen."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from fairseq2.gang import Gangs
from fairseq2.logging import log
from fairseq2.utils.progress import ProgressReporter
from typing_extensions import override

from fairseq2_jest.corpus.config import ParallelTextConfig
from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.files import write_text
from fairseq2_jest.influence.diagnosis import Diagnosis
from fairseq2_jest.influence.rule import ScoreSummary, preview
from fairseq2_jest.recipes.select.choosing import Choice, RowFeatures, choose, summarize_store
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.output import (
    PAGE_NAME,
    read_diagnosis,
    write_numbers,
    write_table,
)
from fairseq2_jest.recipes.select.page import render_selection
from fairseq2_jest.recipes.select.scored_pool import ScoredPool
from fairseq2_jest.recipes.select.scoring import Candidates, PoolScoring
from fairseq2_jest.recipes.select.selected_corpus import write_corpus
from fairseq2_jest.recipes.task import PiecewiseTask


class SelectTask(PiecewiseTask):
    """Chooses from a pool, the processes of a gang sharing the work."""

    def __init__(
        self,
        config: SelectConfig,
        pool: Corpus,
        origin: ParallelTextConfig,
        candidates: Candidates,
        identity: str,
        *,
        embeddings: RowFeatures | None = None,
        gangs: Gangs,
        output_dir: Path,
        progress_reporter: ProgressReporter,
    ) -> None:
        """
        :param origin: The data set that the pool is a split of.
        :param identity: Stands for all that decides a score.
        :param embeddings: What is clustered in place of gradients.
        """
        super().__init__()

        self._config = config
        self._pool = pool
        self._origin = origin
        self._candidates = candidates
        self._identity = identity
        self._embeddings = embeddings
        self._gangs = gangs
        self._output_dir = output_dir
        self._progress_reporter = progress_reporter

    @override
    def run(self) -> None:
        # fairseq2 runs what does not train in inference mode, in which there are no gradients.
        with torch.inference_mode(False), torch.no_grad():
            self._run()

    def _run(self) -> None:
        scoring = PoolScoring(
            self._config,
            self._candidates,
            self._identity,
            self._output_dir,
            gang=self._gangs.root,
            progress_reporter=self._progress_reporter,
            on_piece=self._on_piece,
        )

        scoring.run()

        summary = summarize_store(scoring.store)

        counts = preview(summary)

        for setting, count in counts.items():
            log.info("rule: {} keeps {:,} of {:,} pairs.", setting, count, len(self._pool))

        if self._config.preview_only:
            self._gangs.close()

            return

        choice = choose(
            summary,
            self._embeddings or scoring.store.features,
            self._config.rule,
            self._config.diversity,
            seed=self._config.common.seed,
            gang=self._gangs.root,
        )

        is_first = self._gangs.root.rank == 0

        # Nobody waits for the first rank to write.
        self._gangs.close()

        if not is_first:
            return

        write_table(self._output_dir, self._pool, summary, choice)

        file = write_corpus(self._output_dir, self._pool, choice.chosen, self._origin)

        diagnosis = read_diagnosis(self._output_dir)

        write_numbers(
            self._output_dir,
            {
                "pairs": len(self._pool),
                "scored": int(summary.is_scored.sum()),
                "seeds": len(self._candidates.seeds),
                "discarded_energy": None if diagnosis is None else diagnosis.discarded_energy,
                "raw_correlation": None if diagnosis is None else diagnosis.raw_correlation,
                "passed": len(choice.passed),
                "clusters": choice.num_clusters,
                "chosen": len(choice.chosen),
                "rules": counts,
            },
        )

        self._write_page(summary, choice, counts, diagnosis)

        log.info(
            "{:,} of {:,} pairs are chosen, of {:,} that passed the rule; {} shows them. Train on "
            "them with: fairseq2 mt finetune OUT --config-file {}",
            len(choice.chosen),
            len(self._pool),
            len(choice.passed),
            self._output_dir / PAGE_NAME,
            file,
        )

    def _write_page(
        self,
        summary: ScoreSummary,
        choice: Choice,
        counts: Mapping[str, int],
        diagnosis: Diagnosis | None,
    ) -> None:
        pool = ScoredPool(
            corpus=self._pool,
            influence=summary.mean,
            helpful_fraction=summary.helpful_fraction,
            passed=choice.passed,
            chosen=choice.chosen,
        )

        numbers = {
            "pairs": f"{len(self._pool):,}, {len(pool.scored):,} of them scored",
            "seeds": f"{len(self._candidates.seeds):,}",
            "rule": f"{self._config.rule.kind}, which {len(choice.passed):,} pairs passed",
            "clusters": f"{choice.num_clusters:,}" if choice.num_clusters else "none",
            "chosen": f"{len(choice.chosen):,}",
        }

        folder = self._output_dir

        text = render_selection(pool, numbers, counts, diagnosis, folder)

        write_text(folder / PAGE_NAME, text)

    def _on_piece(self) -> None:
        self.count_piece()

        self.stop_if_requested()
