"""Scores a pool, applies the rule, clusters, draws and writes."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from fairseq2.gang import Gangs
from fairseq2.logging import log
from fairseq2.utils.progress import ProgressReporter
from numpy.typing import NDArray
from typing_extensions import override

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.manifest import json_sha256
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.directions import discarded_energy
from fairseq2_jest.influence.diversity import draw_evenly, fitting_clusters
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.fitting import PairReader, Workplace, fit_curvature, fit_seeds
from fairseq2_jest.influence.gradients import GradientPass
from fairseq2_jest.influence.kmeans import KMeans
from fairseq2_jest.influence.layers import last_block
from fairseq2_jest.influence.projection import TwoSidedProjection
from fairseq2_jest.influence.rule import ScoreSummary, passing_rows, preview, summarize
from fairseq2_jest.influence.score_store import ScoreStore
from fairseq2_jest.influence.scoring import PoolScorer
from fairseq2_jest.recipes.progress import Progress
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.output import write_corpus, write_table
from fairseq2_jest.recipes.task import PiecewiseTask
from fairseq2_jest.report.units import format_bytes

# Beyond this, low rank changes signs rather often.
_MUCH_DISCARDED = 0.1


class SelectTask(PiecewiseTask):
    """Chooses from a pool, the processes of a gang sharing the work."""

    def __init__(
        self,
        config: SelectConfig,
        pool: Corpus,
        read: PairReader,
        seeds: TokenizedPairs,
        gradients: GradientPass,
        identity: dict[str, object],
        *,
        gangs: Gangs,
        output_dir: Path,
        progress_reporter: ProgressReporter,
    ) -> None:
        """
        :param read: Reads and tokenises pairs of the pool.
        :param identity: All that decides a score.
        """
        super().__init__()

        self._config = config
        self._pool = pool
        self._read = read
        self._seeds = seeds
        self._gradients = gradients
        self._digest = json_sha256(identity)
        self._gangs = gangs
        self._output_dir = output_dir
        self._progress_reporter = progress_reporter
        self._discarded: float | None = None

    @override
    def run(self) -> None:
        # fairseq2 runs what does not train in inference mode, in which there are no gradients.
        with torch.inference_mode(False), torch.no_grad():
            self._run()

    def _run(self) -> None:
        store = ScoreStore.open(
            self._output_dir / "scores",
            identity={"identity": self._digest},
            num_rows=len(self._pool),
            num_seeds=len(self._seeds),
            feature_dim=self._config.diversity.projection_side**2,
            block_size=self._config.scoring.block_size,
        )

        _check_room(store, self._output_dir)

        self._score(store)

        summary = self._summarize(store)

        counts = preview(summary)

        for setting, count in counts.items():
            log.info("rule: {} keeps {:,} of {:,} pairs.", setting, count, len(self._pool))

        if self._config.preview_only:
            self._gangs.close()

            return

        passed = passing_rows(summary, self._config.rule)

        if len(passed) == 0:
            raise InfluenceError(
                "No pair passes the rule; lower rule.min_helpful_fraction or raise rule.quantile, "
                "by the counts that the log tells."
            )

        clusters, num_clusters, chosen = self._choose(store, summary, passed)

        is_first = self._gangs.root.rank == 0

        # Nobody waits for the first rank to write.
        self._gangs.close()

        if is_first:
            self._write(summary, counts, passed, clusters, num_clusters, chosen)

    def _score(self, store: ScoreStore) -> None:
        """Completes the store; a collective."""
        gang, config = self._gangs.root, self._config

        missing = np.flatnonzero(~store.done()).tolist()

        # All have looked before one writes.
        gang.barrier()

        if len(missing) < store.num_blocks:
            log.info(
                "{:,} of {:,} blocks of pairs are scored already.",
                store.num_blocks - len(missing),
                store.num_blocks,
            )

        if missing:
            own = missing[gang.rank :: gang.size]

            scorer = self._create_scorer()

            with self._progress_reporter:
                progress = Progress(
                    "score",
                    "pairs",
                    store.num_rows,
                    store.count_rows,
                    reporter=self._progress_reporter if gang.rank == 0 else None,
                    log_every_seconds=config.scoring.log_every_seconds,
                )

                with closing(progress):
                    for block in own:
                        self._score_block(store, scorer, block)

                        progress.update()

                        self.stop_if_requested()

        # The others may be at their last blocks.
        gang.barrier()

    def _create_scorer(self) -> PoolScorer:
        config, gang, gradients = self._config, self._gangs.root, self._gradients

        place = Workplace(
            self._output_dir / "curvature",
            self._digest,
            gang=gang,
            device=gang.device,
            on_piece=self.stop_if_requested,
        )

        curvatures = fit_curvature(
            place,
            gradients,
            self._read,
            len(self._pool),
            config.curvature,
            seed=config.common.seed,
        )

        directions = fit_seeds(
            place,
            gradients,
            self._seeds,
            curvatures,
            config.curvature.damping,
            rank=config.scoring.rank,
            reduction=config.scoring.reduction,
        )

        self._discarded = discarded_energy(directions)

        log.info(
            "{:,} seeds are preconditioned; their rank of {} leaves out {:.2%} of their energy.",
            len(self._seeds),
            config.scoring.rank or "all",
            self._discarded,
        )

        if self._discarded > _MUCH_DISCARDED:
            log.warning(
                "That is much: raise scoring.rank, in another output directory, for influences to "
                "be more exact."
            )

        projection = TwoSidedProjection(
            last_block(gradients.layers),
            side=config.diversity.projection_side,
            seed=config.common.seed,
            device=gang.device,
        )

        return PoolScorer(gradients, directions, projection, reduction=config.scoring.reduction)

    def _score_block(self, store: ScoreStore, scorer: PoolScorer, block: int) -> None:
        rows = store.rows(block)

        scores = np.full((len(rows), len(self._seeds)), np.nan, dtype=np.float32)
        features = np.full((len(rows), scorer.feature_dim), np.nan, dtype=np.float32)

        kept, pairs = self._read(rows)

        if len(kept) > 0:
            found = scorer.score(pairs, kept.tolist())

            scores[kept - rows[0]] = found.influence.numpy()
            features[kept - rows[0]] = found.features.numpy()

        store.write(block, scores, features)

        self.count_piece()

    def _summarize(self, store: ScoreStore) -> ScoreSummary:
        parts = [summarize(scores) for _, scores in store.blocks()]

        return ScoreSummary(
            **{
                name: np.concatenate([getattr(part, name) for part in parts])
                for name in ("mean", "minimum", "helpful_fraction")
            }
        )

    def _choose(
        self, store: ScoreStore, summary: ScoreSummary, passed: NDArray[np.int64]
    ) -> tuple[NDArray[np.int32] | None, int, NDArray[np.int64]]:
        """Clusters what passed and draws from it; a collective."""
        config, seed = self._config.diversity, self._config.common.seed

        if config.num_selected is None:
            return None, 0, passed

        if config.num_selected > len(passed):
            log.warning(
                "diversity.num_selected is {:,}, but only {:,} pairs passed the rule: all of them "
                "are taken.",
                config.num_selected,
                len(passed),
            )

        num_clusters = fitting_clusters(config.num_clusters, len(passed))

        if num_clusters < config.num_clusters:
            log.info(
                "{:,} clusters in place of {:,}, since {:,} pairs passed.",
                num_clusters,
                config.num_clusters,
                len(passed),
            )

        def read(places: NDArray[np.int64]) -> NDArray[np.float32]:
            features = store.features(passed[places])

            if config.normalize:
                norms = np.linalg.norm(features, axis=1, keepdims=True)

                features /= np.where(norms > 0.0, norms, np.float32(1.0))

            return features

        kmeans = KMeans(
            num_clusters,
            seed=seed,
            gang=self._gangs.root,
            max_iterations=config.max_iterations,
        )

        clusters = kmeans.fit(read, len(passed)).members

        places = draw_evenly(
            clusters,
            num_clusters,
            config.num_selected,
            seed=seed,
            order_by=summary.mean[passed] if config.draw == "best" else None,
        )

        return clusters, num_clusters, passed[places]

    def _write(
        self,
        summary: ScoreSummary,
        counts: dict[str, int],
        passed: NDArray[np.int64],
        clusters: NDArray[np.int32] | None,
        num_clusters: int,
        chosen: NDArray[np.int64],
    ) -> None:
        write_table(self._output_dir, self._pool, summary, passed, clusters, chosen)

        file = write_corpus(self._output_dir, self._pool, chosen)

        numbers = {
            "pairs": len(self._pool),
            "scored": int(summary.is_scored.sum()),
            "seeds": len(self._seeds),
            "discarded_energy": self._discarded,
            "passed": len(passed),
            "clusters": num_clusters,
            "chosen": len(chosen),
            "rules": counts,
        }

        (self._output_dir / "select.json").write_text(
            json.dumps(numbers, indent=2) + "\n", encoding="utf-8"
        )

        log.info(
            "{:,} of {:,} pairs are chosen, of {:,} that passed the rule. Train on them with: "
            "fairseq2 mt finetune OUT --config-file {}",
            len(chosen),
            len(self._pool),
            len(passed),
            file,
        )


def _check_room(store: ScoreStore, folder: Path) -> None:
    log.info("Scores and features take {}.", format_bytes(store.num_bytes))

    free = shutil.disk_usage(folder).free

    if store.num_bytes > free + store.allocated():
        raise InfluenceError(
            f"Scores and features take {format_bytes(store.num_bytes)}, but {folder} has "
            f"{format_bytes(free)} left; make room, or name another output directory."
        )
