"""K-means over features that are read in pieces, all ranks together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from fairseq2.gang import Gang
from numpy.typing import NDArray
from torch import Tensor

_NUM_SHARDS: Final = 16
"""Pieces whose sums are added up in fp64 in their order, whatever the number of ranks."""

_CHUNK_SIZE: Final = 8192

FeatureReader = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Returns the features ``(n, D)`` of these places."""


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """What k-means found among N features."""

    centroids: NDArray[np.float32]
    """*Shape:* ``(K, D)``."""

    members: NDArray[np.int32]
    """The cluster of each feature. *Shape:* ``(N)``."""

    inertia: float
    """The mean squared distance to the centroid."""

    num_iterations: int
    """How often the centroids were moved."""


class KMeans:
    """Lloyd's algorithm after a k-means++ start (Arthur and Vassilvitskii, 2007) on a sample.

    Memory does not grow with N but for a cluster number for each. The result does not depend on the
    number of ranks.
    """

    def __init__(
        self,
        num_clusters: int,
        *,
        seed: int,
        gang: Gang,
        max_iterations: int = 30,
        tolerance: float = 1e-4,
        sample_size: int = 16_384,
    ) -> None:
        """
        :param gang: The ranks that share the work; what they read must be the same.
        :param tolerance: Ends once the inertia falls by no more than this share of it.
        :param sample_size: How many features the start is chosen among.
        """
        self._num_clusters = num_clusters
        self._seed = seed
        self._gang = gang
        self._max_iterations = max_iterations
        self._tolerance = tolerance
        self._sample_size = sample_size

    def fit(self, read: FeatureReader, num_features: int) -> Clusters:
        """
        :param num_features: At least the number of clusters.
        """
        centroids = self._start(read, num_features)

        bounds = np.linspace(0, num_features, _NUM_SHARDS + 1).astype(np.int64)

        members = np.empty(num_features, dtype=np.int32)

        inertia, num_iterations = float("inf"), 0

        while True:
            before = inertia

            sums = self._sums(read, bounds, centroids)

            counts = sums[:, -2]

            inertia = float(sums[:, -1].sum()) / num_features

            is_done = num_iterations >= self._max_iterations or (
                before < float("inf") and before - inertia <= self._tolerance * before
            )

            if is_done:
                break

            moved = (sums[:, :-2] / counts.clamp(min=1.0)[:, None]).float()

            # A cluster that has lost all its members stays where it is.
            centroids = torch.where(counts[:, None] > 0.0, moved, centroids)

            num_iterations += 1

        for begin in range(0, num_features, _CHUNK_SIZE):
            places = np.arange(begin, min(begin + _CHUNK_SIZE, num_features))

            members[places] = self._nearest(self._read(read, places), centroids)[0].cpu().numpy()

        return Clusters(
            centroids=centroids.cpu().numpy(),
            members=members,
            inertia=inertia,
            num_iterations=num_iterations,
        )

    def _start(self, read: FeatureReader, num_features: int) -> Tensor:
        rng = np.random.default_rng(self._seed)

        size = max(min(self._sample_size, num_features), self._num_clusters)

        sample = self._read(read, np.sort(rng.choice(num_features, size, replace=False)))

        chosen = [int(rng.integers(size))]

        distances = (sample - sample[chosen[0]]).square().sum(dim=1).double()

        while len(chosen) < self._num_clusters:
            distances[chosen] = 0.0

            cumulative = distances.cumsum(dim=0).cpu().numpy()

            if cumulative[-1] > 0.0:
                place = int(
                    np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
                )
            else:
                # All that is left is a copy of what was chosen.
                place = int(np.setdiff1d(np.arange(size), chosen)[0])

            chosen.append(min(place, size - 1))

            news = (sample - sample[chosen[-1]]).square().sum(dim=1).double()

            distances = torch.minimum(distances, news)

        return sample[chosen]

    def _sums(self, read: FeatureReader, bounds: NDArray[np.int64], centroids: Tensor) -> Tensor:
        """For each cluster the sum of its members, their number and their squared distances.

        *Shape of the result:* ``(K, D + 2)``, fp64, the same on all ranks.
        """
        gang = self._gang

        shape = (self._num_clusters, centroids.size(1) + 2)

        num_own = -(-_NUM_SHARDS // gang.size)

        own = torch.zeros((num_own, *shape), dtype=torch.float64, device=gang.device)

        for number in range(num_own):
            shard = gang.rank + number * gang.size

            if shard < _NUM_SHARDS:
                self._add_shard(
                    read, int(bounds[shard]), int(bounds[shard + 1]), centroids, own[number]
                )

        if gang.size == 1:
            gathered = [own]
        else:
            gathered = [torch.empty_like(own) for _ in range(gang.size)]

            gang.all_gather_to_list(gathered, own)

        total = torch.zeros(shape, dtype=torch.float64, device=gang.device)

        for shard in range(_NUM_SHARDS):
            total += gathered[shard % gang.size][shard // gang.size]

        return total

    def _add_shard(
        self, read: FeatureReader, begin: int, end: int, centroids: Tensor, sums: Tensor
    ) -> None:
        for first in range(begin, end, _CHUNK_SIZE):
            features = self._read(read, np.arange(first, min(first + _CHUNK_SIZE, end)))

            members, distances = self._nearest(features, centroids)

            # A product, since adding by index comes out differently each time on a GPU.
            indicator = torch.nn.functional.one_hot(members, self._num_clusters).T.double()

            sums[:, :-2] += indicator @ features.double()
            sums[:, -2] += indicator.sum(dim=1)
            sums[:, -1] += indicator @ distances.double()

    def _nearest(self, features: Tensor, centroids: Tensor) -> tuple[Tensor, Tensor]:
        distances = (
            centroids.square().sum(dim=1)
            - 2.0 * (features @ centroids.T)
            + features.square().sum(dim=1, keepdim=True)
        )

        nearest = distances.min(dim=1)

        return nearest.indices, nearest.values.clamp(min=0.0)

    def _read(self, read: FeatureReader, places: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(read(places)).to(self._gang.device)
