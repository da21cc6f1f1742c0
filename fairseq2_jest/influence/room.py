"""What the files of :mod:`fairseq2_jest.influence.fitting` take on the disk, headers left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Final

from fairseq2_jest.influence.curvature_config import CurvatureConfig
from fairseq2_jest.influence.layers import TrackedLayer
from fairseq2_jest.influence.subspace import num_candidates

_ITEM_SIZE: Final = 4


@dataclass(frozen=True, kw_only=True)
class Room:
    """Bytes of what is estimated in shards."""

    peak: int
    """While it is estimated: its shards, and what they become."""

    kept: int
    """Afterwards."""


def curvature_room(layers: Sequence[TrackedLayer], config: CurvatureConfig, num_rows: int) -> Room:
    """That of a curvature.

    :param num_rows: How many pairs the pool has.
    """
    num_shards = min(config.num_shards, config.num_pairs, num_rows)

    factors = _ITEM_SIZE * sum(x.input_dim**2 + x.output_dim**2 for x in layers)
    eigenvalues = _ITEM_SIZE * sum(x.input_dim * x.output_dim for x in layers)

    whole = factors + eigenvalues

    if config.method == "kfac":
        return Room(peak=num_shards * factors + whole, kept=whole)

    # What KFAC has stays there, too.
    return Room(
        peak=max(num_shards * factors + whole, num_shards * eigenvalues + 2 * whole),
        kept=2 * whole,
    )


def seeds_room(
    layers: Sequence[TrackedLayer], config: CurvatureConfig, num_seeds: int, rank: int | None
) -> Room:
    """The most that seeds' subspaces and directions of this rank take, whole ones for ``None``."""
    modes, axes, cores = 0, 0, 0

    for layer in layers:
        dims = (layer.output_dim, layer.input_dim)

        sides = [(num_candidates(rank, dim), min(rank or dim, dim)) for dim in dims]

        modes += sum(num**2 for num, _ in sides)
        axes += sum(num * wanted for num, wanted in sides)
        cores += num_seeds * prod(wanted for _, wanted in sides)

    shards = _ITEM_SIZE * min(config.num_shards, num_seeds) * modes

    kept = _ITEM_SIZE * (axes + cores)

    return Room(peak=max(shards + _ITEM_SIZE * axes, kept), kept=kept)
