"""Even draws over clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from fairseq2.utils.validation import Validatable, ValidationResult
from numpy.typing import NDArray
from typing_extensions import override

_MIN_CLUSTER_SIZE = 2
"""How many pairs a cluster should have on average, for a draw to mean something."""


@dataclass(frozen=True, kw_only=True)
class DiversityConfig(Validatable):
    """How the choice is spread over the pairs that pass the rule."""

    num_selected: int | None = None
    """How many pairs are drawn; ``None`` for all that pass, for which nothing is clustered."""

    num_clusters: int = 512
    """How many clusters (the paper's 512) they are drawn from, in equal numbers as far as each has
    them; fewer where few pairs passed. 1 for no clusters."""

    features: Literal["gradients", "embeddings"] = "gradients"
    """What is clustered: the gradients of the last tracked FFN, projected (the paper), or the
    embeddings of source and target, which it compares with (Fig. 4)."""

    projection_side: int = 20
    """Features have the square of this many numbers; the paper has 400."""

    normalize: bool = False
    """Whether features are brought to length 1 before they are clustered. The paper takes them as
    they are, so that the size of a gradient counts, too."""

    draw: Literal["random", "best"] = "random"
    """Which pairs of a cluster: any (the paper), or those of the lowest mean influence."""

    max_iterations: int = 30
    """How often k-means moves its centroids, at the most."""

    seed: int | None = None
    """Decides clusters and draws; ``None`` for ``common.seed``, which decides scores, too."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.num_selected is not None and self.num_selected < 1:
            result.add_error(f"`num_selected` must be at least 1, but is {self.num_selected}.")

        for name in ("num_clusters", "projection_side", "max_iterations"):
            if getattr(self, name) < 1:
                result.add_error(f"`{name}` must be at least 1, but is {getattr(self, name)}.")

        return result


def fitting_clusters(num_clusters: int, num_passed: int) -> int:
    """The number of clusters that so many pairs have members for."""
    return max(1, min(num_clusters, num_passed // _MIN_CLUSTER_SIZE))


def quotas(sizes: NDArray[np.int64], num_drawn: int, seed: int) -> NDArray[np.int64]:
    """How many are drawn from each cluster: the same number, or all where there are fewer.

    What does not divide goes to clusters by lot, one each.

    :param sizes: *Shape:* ``(K)``.
    :param num_drawn: At most the sum of ``sizes``.

    :returns: *Shape:* ``(K)``, with the sum ``num_drawn``.
    """
    # The highest level to which all clusters can be filled.
    low, high = 0, int(sizes.max(initial=0))

    while low < high:
        middle = (low + high + 1) // 2

        if int(np.minimum(sizes, middle).sum()) <= num_drawn:
            low = middle
        else:
            high = middle - 1

    output = np.minimum(sizes, low)

    rest = num_drawn - int(output.sum())

    larger = np.flatnonzero(sizes > low)

    output[np.random.default_rng(seed).permutation(larger)[:rest]] += 1

    return output


def draw_evenly(
    members: NDArray[np.int32],
    num_clusters: int,
    num_drawn: int,
    *,
    seed: int,
    order_by: NDArray[np.float32] | None = None,
) -> NDArray[np.int64]:
    """Draws places, ascending, in equal numbers from all clusters.

    :param members: The cluster of each of N. *Shape:* ``(N)``.
    :param order_by: Of each cluster, those of the lowest values are drawn; ``None`` for any.
    """
    sizes = np.bincount(members, minlength=num_clusters).astype(np.int64)

    wanted = quotas(sizes, min(num_drawn, len(members)), seed)

    lots = np.random.default_rng(seed + 1).permutation(len(members))

    # By cluster, then by value or by lot.
    keys = (lots, members) if order_by is None else (lots, order_by, members)

    order = np.lexsort(keys)

    ranks = np.arange(len(members)) - (np.cumsum(sizes) - sizes)[members[order]]

    return np.sort(order[ranks < wanted[members[order]]])
