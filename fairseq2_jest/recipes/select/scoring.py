"""Scores a pool block by block, the processes of a gang sharing the work."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fairseq2.gang import Gang
from fairseq2.logging import log
from fairseq2.utils.progress import ProgressReporter
from torch import Tensor

from fairseq2_jest.embedding.tokens import PairReader, TokenizedPairs
from fairseq2_jest.influence.curvature import LayerCurvature
from fairseq2_jest.influence.diagnosis import Diagnosis, diagnose_layers, mean_correlation
from fairseq2_jest.influence.directions import (
    directions_of,
    discarded_energy,
    raw_cores,
)
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.fitting import (
    Workplace,
    fit_curvature,
    fit_seeds,
    fit_subspaces,
    in_order,
    is_fitted,
    sample_rows,
)
from fairseq2_jest.influence.gradients import BatchGradients, GradientPass
from fairseq2_jest.influence.layers import last_block
from fairseq2_jest.influence.projection import TwoSidedProjection
from fairseq2_jest.influence.room import curvature_room, seeds_room
from fairseq2_jest.influence.score_store import InfluenceStore
from fairseq2_jest.influence.scoring import PoolScorer
from fairseq2_jest.influence.subspace import LayerSubspace
from fairseq2_jest.recipes.progress import Progress
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.output import read_diagnosis, write_diagnosis
from fairseq2_jest.report.units import format_bytes

_ROUNDING = 1e-4

# Enough for two digits.
_NUM_COMPARED_SEEDS = 64
_NUM_COMPARED_PAIRS = 256


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What is scored, against what, by what."""

    num_rows: int
    """How many pairs the pool has."""

    read: PairReader
    """Reads and tokenises them."""

    seeds: TokenizedPairs
    """The trusted pairs."""

    gradients: GradientPass
    """The model."""


class PoolScoring:
    """Completes the scores of a pool; what is there already is not made again."""

    def __init__(
        self,
        config: SelectConfig,
        candidates: Candidates,
        identity: str,
        folder: Path,
        *,
        gang: Gang,
        progress_reporter: ProgressReporter,
        on_piece: Callable[[], None],
    ) -> None:
        """
        :param identity: Stands for all that decides a score.
        :param on_piece: Called between pieces of work; may raise, to stop.

        :raises EmbeddingError: The store cannot be made or read.
        """
        self._config = config
        self._candidates = candidates
        self._folder = folder
        self._gang = gang
        self._progress_reporter = progress_reporter
        self._on_piece = on_piece

        self.store = InfluenceStore.open(
            folder / "scores",
            identity={"identity": identity},
            num_rows=candidates.num_rows,
            num_seeds=len(candidates.seeds),
            precision=config.scoring.precision,
            feature_dim=config.diversity.projection_side**2,
            block_size=config.scoring.block_size,
        )

        self._place = Workplace(
            folder / "curvature", identity, gang=gang, device=gang.device, on_piece=on_piece
        )

    def run(self) -> None:
        """A collective.

        :raises InfluenceError: A gradient is not finite, or the disk is too small or refuses.
        """
        store, gang = self.store, self._gang

        missing = np.flatnonzero(~store.done()).tolist()

        if missing:
            self._check_room()

        # All have looked before one writes.
        gang.barrier()

        if len(missing) < store.num_blocks:
            log.info(
                "{:,} of {:,} blocks of pairs are scored already.",
                store.num_blocks - len(missing),
                store.num_blocks,
            )

        if missing:
            scorer = self._create_scorer()

            with self._progress_reporter:
                progress = Progress(
                    "score",
                    "pairs",
                    store.num_rows,
                    store.count_rows,
                    reporter=self._progress_reporter if gang.rank == 0 else None,
                    log_every_seconds=self._config.scoring.log_every_seconds,
                )

                with closing(progress):
                    for block in missing[gang.rank :: gang.size]:
                        self._score_block(scorer, block)

                        progress.update()

                        self._on_piece()

        # The others may be at their last blocks.
        gang.barrier()

    def _check_room(self) -> None:
        config, candidates, place, store = self._config, self._candidates, self._place, self.store

        layers = candidates.gradients.layers

        curvature = curvature_room(layers, config.curvature, candidates.num_rows)

        seeds = seeds_room(layers, config.curvature, len(candidates.seeds), config.scoring.rank)

        log.info(
            "Scores and features take {}, curvature and seeds {} at the most, and up to {} "
            "meanwhile.",
            format_bytes(store.num_bytes),
            format_bytes(curvature.kept + seeds.kept),
            format_bytes(max(curvature.peak, curvature.kept + seeds.peak)),
        )

        # Shards are gone before what comes next is there.
        needed = curvature.kept + max(seeds.peak, seeds.kept + store.num_bytes)

        if not is_fitted(place, config.curvature):
            needed = max(needed, curvature.peak)

        free = shutil.disk_usage(self._folder).free

        if needed > free + store.allocated() + place.num_bytes():
            raise InfluenceError(
                f"Curvature, seeds, scores and features take {format_bytes(needed)} at the most, "
                f"but {self._folder} has {format_bytes(free)} left; make room, or name another "
                "output directory."
            )

    def _create_scorer(self) -> PoolScorer:
        config, gang, candidates = self._config, self._gang, self._candidates

        gradients = candidates.gradients

        curvatures = fit_curvature(
            self._place,
            gradients,
            candidates.read,
            candidates.num_rows,
            config.curvature,
            seed=config.common.seed,
        )

        damping, reduction = config.curvature.damping, config.scoring.reduction

        subspaces = fit_subspaces(
            self._place,
            gradients,
            candidates.seeds,
            curvatures,
            damping,
            max_discarded=config.scoring.max_discarded,
            rank=config.scoring.rank,
            reduction=reduction,
            num_shards=config.curvature.num_shards,
        )

        seeds = fit_seeds(
            self._place,
            gradients,
            candidates.seeds,
            curvatures,
            subspaces,
            damping,
            reduction=reduction,
        )

        discarded = discarded_energy(seeds)

        self._tell_dimensions(subspaces, curvatures, discarded)

        projection = TwoSidedProjection(
            last_block(gradients.layers),
            side=config.diversity.projection_side,
            seed=config.common.seed,
            device=gang.device,
        )

        cores = {name: layer.cores for name, layer in seeds.items()}

        if gang.rank == 0 and read_diagnosis(self._folder) is None:
            diagnosis = Diagnosis(
                layers=diagnose_layers(curvatures, seeds, damping),
                discarded_energy=discarded,
                raw_correlation=self._compare_with_raw(cores, curvatures, subspaces, projection),
            )

            write_diagnosis(self._folder, diagnosis)

        directions = directions_of(cores, curvatures, subspaces)

        return PoolScorer(gradients, directions, projection, reduction=reduction)

    def _tell_dimensions(
        self,
        subspaces: Mapping[str, LayerSubspace],
        curvatures: Mapping[str, LayerCurvature],
        discarded: float,
    ) -> None:
        config = self._config.scoring

        all_of_them = sum(curvature.eigenvalues.numel() for curvature in curvatures.values())

        looked_at = sum(
            subspace.gradient_axes.size(1) * subspace.input_axes.size(1)
            for subspace in subspaces.values()
        )

        log.info(
            "{:,} seeds are preconditioned; of the {:,} dimensions of a gradient {:,} are looked "
            "at, which leaves out {:.2%} of what influence varies by.",
            len(self._candidates.seeds),
            all_of_them,
            looked_at,
            discarded,
        )

        # Sums are rounded.
        if discarded > config.max_discarded + _ROUNDING:
            log.warning(
                "That is more than scoring.max_discarded ({:.2%}), since scoring.rank is {}; raise "
                "it, in another output directory, for influences to be more exact.",
                config.max_discarded,
                config.rank,
            )

    def _compare_with_raw(
        self,
        cores: Mapping[str, Tensor],
        curvatures: Mapping[str, LayerCurvature],
        subspaces: Mapping[str, LayerSubspace],
        projection: TwoSidedProjection,
    ) -> float | None:
        """See :attr:`Diagnosis.raw_correlation`."""
        config, candidates = self._config.scoring, self._candidates

        gradients, reduction = candidates.gradients, config.reduction

        numbers = list(range(min(len(candidates.seeds), _NUM_COMPARED_SEEDS)))

        batches = gradients.run(candidates.seeds.take(numbers), numbers, reduction=reduction)

        def raw_of(batch: BatchGradients) -> dict[str, Tensor]:
            found = raw_cores(batch, curvatures, subspaces)

            return {name: raw.cpu() for name, raw in found.items()}

        raw = in_order(batches, raw_of)

        both = {name: torch.cat([cores[name][: len(numbers)], raw[name]]) for name in raw}

        sample = sample_rows(candidates.num_rows, _NUM_COMPARED_PAIRS, self._config.common.seed)

        rows, pairs = candidates.read(sample)

        scorer = PoolScorer(
            gradients,
            directions_of(both, curvatures, subspaces),
            projection,
            reduction=reduction,
        )

        scores = scorer.score(pairs, rows.tolist())

        return mean_correlation(*scores.influence.chunk(2, dim=1))

    def _score_block(self, scorer: PoolScorer, block: int) -> None:
        rows = self.store.rows(block)

        scores = np.full((len(rows), len(self._candidates.seeds)), np.nan, dtype=np.float32)
        features = np.full((len(rows), scorer.feature_dim), np.nan, dtype=np.float32)

        kept, pairs = self._candidates.read(rows)

        if len(kept) > 0:
            found = scorer.score(pairs, kept.tolist())

            scores[kept - rows[0]] = found.influence.numpy()
            features[kept - rows[0]] = found.features.numpy()

        self.store.write(block, scores, features)
