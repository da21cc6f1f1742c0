"""Estimating the curvature and preconditioning the seeds, in fixed pieces that survive a kill.

Pieces do not depend on the number of ranks, and are put together in their order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from shutil import rmtree
from typing import Final

import numpy as np
import torch
from fairseq2.device import CPU, Device
from fairseq2.gang import Gang
from fairseq2.logging import log
from numpy.typing import NDArray
from torch import Tensor

from fairseq2_jest.embedding.tokens import PairReader, TokenizedPairs
from fairseq2_jest.influence.curvature import CorrectedSums, LayerCurvature, correct, decompose
from fairseq2_jest.influence.curvature_config import (
    CurvatureConfig,
    CurvatureMethod,
    DampingConfig,
)
from fairseq2_jest.influence.directions import SeedCores, seed_cores
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.factors import FactorSums
from fairseq2_jest.influence.gradients import BatchGradients, GradientPass, Reduction
from fairseq2_jest.influence.layer_tensors import from_tensors, to_tensors
from fairseq2_jest.influence.subspace import LayerSubspace, ModeSums, find_subspaces
from fairseq2_jest.influence.tensor_file import TensorFile

_SEEDS_IN_FILE = 16

_LAST_FILES: Final[dict[CurvatureMethod, str]] = {"kfac": "factors", "ekfac": "corrected"}


class Workplace:
    """Where pieces lie, and who shares the work on them."""

    def __init__(
        self,
        folder: Path,
        identity: str,
        *,
        gang: Gang,
        device: Device,
        on_piece: Callable[[], None] = lambda: None,
    ) -> None:
        """
        :param identity: Stands for all that decides the pieces.
        :param on_piece: Called between pieces; may raise, to stop.
        """
        self.gang = gang
        self.device = device
        self._folder = folder
        self._identity = identity
        self._on_piece = on_piece

    def file(self, name: str) -> TensorFile:
        return TensorFile(self._folder / f"{name}.safetensors", self._identity)

    def num_bytes(self) -> int:
        """What the files take."""
        return sum(file.stat().st_size for file in self._folder.rglob("*.safetensors"))

    def remove(self, name: str) -> None:
        """Deletes the files whose names begin with ``name`` and a slash."""
        rmtree(self._folder / name, ignore_errors=True)

    def make(self, files: list[TensorFile], work: Callable[[int], dict[str, Tensor]]) -> None:
        """Completes ``files``, of which ``work`` makes the one of that number; a collective."""
        # All have looked before one writes.
        missing = [number for number, file in enumerate(files) if not file.exists()]

        self.gang.barrier()

        for number in missing[self.gang.rank :: self.gang.size]:
            files[number].write(work(number))

            self._on_piece()

        self.gang.barrier()

    def read(self, file: TensorFile) -> dict[str, Tensor]:
        """
        :raises InfluenceError: It was damaged since it was made.
        """
        tensors = file.read()

        if tensors is None:
            # Only reading finds out.
            file.path.unlink(missing_ok=True)

            raise InfluenceError(f"{file.path} was damaged; run the command again to make it anew.")

        return tensors


def fit_curvature(
    workplace: Workplace,
    gradients: GradientPass,
    read: PairReader,
    num_rows: int,
    config: CurvatureConfig,
    *,
    seed: int,
) -> dict[str, LayerCurvature]:
    """Estimates the curvature on a sample of the pool; a collective.

    :param num_rows: How many pairs the pool has.

    :raises InfluenceError: A gradient is not finite, or the disk refuses.
    """
    layers, device = gradients.layers, workplace.device

    sample = sample_rows(num_rows, config.num_pairs, seed)

    pieces = np.array_split(sample, min(config.num_shards, len(sample)))

    def batches(piece: int) -> Iterator[BatchGradients]:
        rows, pairs = read(pieces[piece])

        return gradients.run(
            pairs,
            rows.tolist(),
            reduction="sum",
            label_seed=seed if config.labels == "sampled" else None,
        )

    def factor_sums(piece: int) -> dict[str, Tensor]:
        sums = FactorSums.zeros(layers, device, torch.float32)

        for batch in batches(piece):
            sums.add(batch.layers)

        return sums.tensors

    def decomposed(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        found = decompose(layers, [FactorSums(part) for part in parts], device)

        return to_tensors(found)

    curvatures = from_tensors(
        LayerCurvature,
        _fit_in_pieces(workplace, "factors", len(pieces), factor_sums, decomposed),
        device,
    )

    if config.method == "kfac":
        return curvatures

    def corrected_sums(piece: int) -> dict[str, Tensor]:
        sums = CorrectedSums.zeros(layers, device, torch.float32)

        for batch in batches(piece):
            sums.add(batch.layers, len(batch.places), curvatures)

        return sums.tensors

    def corrected(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        found = correct(curvatures, layers, [CorrectedSums(part) for part in parts], device)

        return to_tensors(found)

    return from_tensors(
        LayerCurvature,
        _fit_in_pieces(workplace, "corrected", len(pieces), corrected_sums, corrected),
        device,
    )


def is_fitted(workplace: Workplace, config: CurvatureConfig) -> bool:
    """Whether :func:`fit_curvature` is done, by the size of its last file."""
    return workplace.file(_LAST_FILES[config.method]).exists()


def _fit_in_pieces(
    workplace: Workplace,
    name: str,
    num_pieces: int,
    make: Callable[[int], dict[str, Tensor]],
    combine: Callable[[list[dict[str, Tensor]]], dict[str, Tensor]],
) -> dict[str, Tensor]:
    whole = workplace.file(name)

    tensors = whole.read()

    # All have looked before one writes.
    workplace.gang.barrier()

    if tensors is None:
        parts = [workplace.file(f"{name}/{number:04}") for number in range(num_pieces)]

        workplace.make(parts, make)

        if workplace.gang.rank == 0:
            whole.write(combine([workplace.read(part) for part in parts]))

        workplace.gang.barrier()

        log.info("Put together from {:,} shard(s): {}.", num_pieces, name)

        tensors = workplace.read(whole)

    # Each part is nearly as large as the whole; a kill may have left them beside it.
    if workplace.gang.rank == 0:
        workplace.remove(name)

    return tensors


def fit_subspaces(
    workplace: Workplace,
    gradients: GradientPass,
    seeds: TokenizedPairs,
    curvatures: Mapping[str, LayerCurvature],
    damping: DampingConfig,
    *,
    max_discarded: float,
    rank: int | None,
    reduction: Reduction,
    num_shards: int,
) -> dict[str, LayerSubspace]:
    """Finds the dimensions that the influence on all seeds lies in; a collective.

    :param max_discarded: See :func:`~fairseq2_jest.influence.subspace.find_subspaces`.

    :raises InfluenceError: A gradient is not finite, or the disk refuses.
    """
    layers, device = gradients.layers, workplace.device

    pieces = np.array_split(np.arange(len(seeds)), min(num_shards, len(seeds)))

    def mode_sums(piece: int) -> dict[str, Tensor]:
        places = pieces[piece].tolist()

        sums = ModeSums.zeros(layers, rank, device, torch.float32)

        for batch in gradients.run(seeds.take(places), places, reduction=reduction):
            sums.add(batch.layers, curvatures, damping)

        return sums.tensors

    def cut(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        found = find_subspaces(
            layers,
            [ModeSums(part) for part in parts],
            max_discarded=max_discarded,
            rank=rank,
            device=device,
        )

        return to_tensors(found)

    return from_tensors(
        LayerSubspace, _fit_in_pieces(workplace, "subspaces", len(pieces), mode_sums, cut), device
    )


def fit_seeds(
    workplace: Workplace,
    gradients: GradientPass,
    seeds: TokenizedPairs,
    curvatures: Mapping[str, LayerCurvature],
    subspaces: Mapping[str, LayerSubspace],
    damping: DampingConfig,
    *,
    reduction: Reduction,
) -> dict[str, SeedCores]:
    """Preconditions the gradients of all seeds; a collective.

    :returns: On the CPU; only :func:`~fairseq2_jest.influence.directions.directions_of` takes them
        to where they are needed.

    :raises InfluenceError: A gradient is not finite, or the disk refuses.
    """
    pieces = [
        list(range(begin, min(begin + _SEEDS_IN_FILE, len(seeds))))
        for begin in range(0, len(seeds), _SEEDS_IN_FILE)
    ]

    def make(piece: int) -> dict[str, Tensor]:
        batches = gradients.run(seeds.take(pieces[piece]), pieces[piece], reduction=reduction)

        return in_order(
            batches,
            lambda batch: to_tensors(seed_cores(batch, curvatures, subspaces, damping)),
        )

    files = [workplace.file(f"seeds/{number:04}") for number in range(len(pieces))]

    workplace.make(files, make)

    parts = [workplace.read(file) for file in files]

    return from_tensors(
        SeedCores,
        {name: torch.cat([part[name] for part in parts]) for name in parts[0]},
        CPU,
    )


def in_order(
    batches: Iterable[BatchGradients], tensors_of: Callable[[BatchGradients], dict[str, Tensor]]
) -> dict[str, Tensor]:
    """Tensors that have a row for each pair, in the order that the pairs of all batches were in
    before."""
    parts, order = [], []

    for batch in batches:
        parts.append(tensors_of(batch))

        order += batch.places

    places = [order.index(place) for place in range(len(order))]

    return {name: torch.cat([part[name] for part in parts])[places] for name in parts[0]}


def sample_rows(num_rows: int, size: int, seed: int) -> NDArray[np.int64]:
    """At most ``size`` of the rows, at random and ascending."""
    return np.sort(np.random.default_rng(seed).permutation(num_rows)[:size]).astype(np.int64)
