"""In which order rows are visited: shuffled, mixed by weight, endless, its state a few integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, isqrt

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.corpus.errors import CorpusError

_ROUNDS = 8


class SeededPermutation:
    """A pseudo-random permutation of ``range(n)`` that is computed, not stored.

    A generalised Feistel network over ``Z_a x Z_b`` with ``a b`` just above ``n``; an index that
    leaves ``range(n)`` walks on until it is back (Black and Rogaway, "Ciphers with Arbitrary
    Finite Domains", 2002). Not for secrets.
    """

    def __init__(self, n: int, seed: int, epoch: int, stream: int = 0) -> None:
        """
        :param n: Number of indices, at least 1.
        :param seed: Not negative.
        :param epoch: Which pass over the indices; each has another order.
        :param stream: Tells apart permutations that share a seed.
        """
        if n < 1:
            raise ValueError(f"`n` must be at least 1, but is {n}.")
        self._n = n
        self._left = max(1, isqrt(n - 1) + 1)
        self._right = -(-n // self._left)
        sequence = np.random.SeedSequence([seed, stream, epoch])
        self._keys = sequence.generate_state(_ROUNDS, np.uint64)

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return where ``indices`` (*N*, in ``range(n)``) are sent."""
        output = self._permute(np.asarray(indices, dtype=np.int64).astype(np.uint64))
        while len(outside := np.flatnonzero(output >= self._n)):
            output[outside] = self._permute(output[outside])
        return output.astype(np.int64)

    def _permute(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        a, b = np.uint64(self._left), np.uint64(self._right)
        left, right = values // b, values % b
        for i, key in enumerate(self._keys):
            if i % 2:
                right = (right + _mix(left ^ key) % b) % b
            else:
                left = (left + _mix(right ^ key) % a) % a
        values = left * b + right
        return values


class CorpusSampler:
    """A stream of global rows over the parts of a corpus.

    In one epoch of the stream a part of ``n`` rows and weight ``w`` yields ``w n`` rows, evenly
    spread; so if all weights are 1, each row comes exactly once an epoch. A part is gone through
    from end to end, each time in another order, before any of its rows comes again. What comes does
    not depend on how many rows are asked for at a time.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        seed: int,
        *,
        shuffle: bool = True,
        max_epochs: int | None = None,
        kept: NDArray[np.int64] | None = None,
    ) -> None:
        """
        :param sizes: Number of rows of each part; a part's rows follow those of the part before.
        :param weights: How many times each part is seen in an epoch.
        :param shuffle: If ``False``, each part is gone through in its own order.
        :param max_epochs: After how many epochs the stream ends; ``None`` for never.
        :param kept: The rows that may come, ascending; ``None`` for all.

        :raises CorpusError: ``kept`` has no row of a part.
        """
        if kept is not None:
            sizes = sizes_of_kept(sizes, kept)

            if min(sizes) == 0:
                raise CorpusError(
                    f"The filter leaves no pair of corpus {sizes.index(0) + 1}: make it less "
                    "strict, or leave that corpus out."
                )
        if not sizes or len(sizes) != len(weights) or min(sizes) < 1 or min(weights) <= 0:
            raise ValueError("`sizes` and `weights` must be positive and of one length.")
        self._kept = kept
        self._sizes = [int(n) for n in sizes]
        self._weights = [float(w) for w in weights]
        self._seed = seed
        self._shuffle = shuffle
        self._max_epochs = max_epochs
        self._starts = np.concatenate([[0], np.cumsum(self._sizes)]).astype(np.int64)
        self._counts = np.zeros(len(self._sizes), dtype=np.int64)
        self._rates = np.array([w * n for w, n in zip(weights, sizes, strict=True)])
        # Where between two rows of the other parts a part's rows fall; clear of 0 and 1, so that
        # rounding never moves a row into the next epoch.
        sequence = np.random.SeedSequence([seed, len(sizes)])
        uniform = np.random.Generator(np.random.Philox(sequence)).random(len(sizes))
        self._phases = 0.25 + uniform / 2

    @property
    def num_rows(self) -> int:
        """Number of different rows that may come."""
        return sum(self._sizes)

    @property
    def epoch(self) -> int:
        """Number of epochs that the stream has completed."""
        return int(np.floor(((self._counts + self._phases) / self._rates).min()))

    def next_rows(self, k: int) -> NDArray[np.int64]:
        """Return the next ``k`` rows, fewer at the end of the stream, none after it."""
        parts, numbers = self._merge(k)
        rows = np.empty(len(parts), dtype=np.int64)
        for part in np.unique(parts).tolist():
            places = np.flatnonzero(parts == part)
            rows[places] = self._starts[part] + self._visit(part, numbers[places])
            self._counts[part] += len(places)
        return rows if self._kept is None else self._kept[rows]

    def _merge(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return part and running number of the next ``k`` rows.

        The ``j``-th row of a part is due at time ``(j + phase) / rate``, in epochs; the stream is
        all rows by the time they are due.
        """
        total = float(self._rates.sum())
        parts, numbers, times = [], [], []
        for part, (count, rate) in enumerate(zip(self._counts, self._rates, strict=True)):
            # A part is never more than one row ahead of or behind its share.
            ahead = min(k, ceil(k * float(rate) / total) + len(self._sizes) + 1)
            number = count + np.arange(ahead, dtype=np.int64)
            parts.append(np.full(ahead, part, dtype=np.int64))
            numbers.append(number)
            times.append((number + self._phases[part]) / rate)
        all_parts, all_numbers = np.concatenate(parts), np.concatenate(numbers)
        all_times = np.concatenate(times)
        order = np.lexsort((all_parts, all_times))[:k]
        if self._max_epochs is not None:
            order = order[all_times[order] < self._max_epochs]
        return all_parts[order], all_numbers[order]

    def _visit(self, part: int, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        size = self._sizes[part]
        passes, indices = np.divmod(numbers, size)
        if self._shuffle:
            for epoch in np.unique(passes).tolist():
                places = np.flatnonzero(passes == epoch)
                permutation = SeededPermutation(size, self._seed, epoch, stream=part)
                indices[places] = permutation[indices[places]]
        return indices

    def state_dict(self) -> dict[str, object]:
        """Return the position in the stream: one integer a part, and what it is valid for."""
        return {
            "counts": self._counts.tolist(),
            "sizes": list(self._sizes),
            "weights": list(self._weights),
            "seed": self._seed,
            "shuffle": self._shuffle,
        }

    def load_state_dict(self, state_dict: Mapping[str, object]) -> None:
        """Go on from the position in ``state_dict``.

        :raises CorpusError: If it was taken over another corpus, seed or mix.
        """
        state = dict(state_dict)
        counts = state.pop("counts", None)
        mine = {k: v for k, v in self.state_dict().items() if k != "counts"}
        for name, value in mine.items():
            if state.get(name) != value:
                raise CorpusError(
                    f"The checkpoint was taken with corpus {name} {state.get(name)}, but now it is "
                    f"{value}: start a new run, or give the run the corpora it had."
                )
        if not isinstance(counts, list) or len(counts) != len(self._sizes):
            raise CorpusError("The checkpoint has no position in the corpus: start a new run.")
        self._counts = np.array(counts, dtype=np.int64)


def sizes_of_kept(sizes: Sequence[int], kept: NDArray[np.int64]) -> list[int]:
    """Number of rows among ``kept`` (ascending) of each part."""
    ends = np.searchsorted(kept, np.cumsum(sizes))

    output: list[int] = np.diff(ends, prepend=0).tolist()

    return output


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of SplitMix64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    values = values ^ (values >> np.uint64(31))
    return values
