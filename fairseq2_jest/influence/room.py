"""What the files of :mod:`fairseq2_jest.influence.fitting` take on the disk, headers left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fairseq2_jest.influence.curvature_config import CurvatureConfig
from fairseq2_jest.influence.layers import TrackedLayer

_ITEM_SIZE: Final = 4


@dataclass(frozen=True, kw_only=True)
class CurvatureRoom:
    """Bytes of a curvature."""

    peak: int
    """While it is estimated: its shards, and what they become."""

    kept: int
    """Afterwards."""


def curvature_room(
    layers: Sequence[TrackedLayer], config: CurvatureConfig, num_rows: int
) -> CurvatureRoom:
    """
    :param num_rows: How many pairs the pool has.
    """
    num_shards = min(config.num_shards, config.num_pairs, num_rows)

    factors = _ITEM_SIZE * sum(x.input_dim**2 + x.output_dim**2 for x in layers)
    eigenvalues = _ITEM_SIZE * sum(x.input_dim * x.output_dim for x in layers)

    whole = factors + eigenvalues

    if config.method == "kfac":
        return CurvatureRoom(peak=num_shards * factors + whole, kept=whole)

    # What KFAC has stays there, too.
    return CurvatureRoom(
        peak=max(num_shards * factors + whole, num_shards * eigenvalues + 2 * whole),
        kept=2 * whole,
    )


def seeds_bytes(layers: Sequence[TrackedLayer], num_seeds: int, rank: int | None) -> int:
    """The bytes of seeds' directions of this rank, whole ones for ``None``."""
    total = 0

    for layer in layers:
        dims = (layer.input_dim, layer.output_dim)

        total += sum(dims) * min(rank or max(dims), *dims)

    return _ITEM_SIZE * num_seeds * total
