"""Influences and features of a pool on disk, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.embedding.record_file import RecordFile
from fairseq2_jest.embedding.store import open_identified
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.precision import PRECISIONS, InfluencePrecisionName

_BLOCKS_READ_AT_ONCE = 16

_FEATURES = PRECISIONS["float16"]


class InfluenceStore:
    """Maps a row of the pool to its influences on T seeds and its feature of D numbers, the latter
    as fp16 with a scale.

    Rows are in fixed blocks: a kill costs the blocks that were being made, and any number of ranks
    may go on. Files are sparse and memory-mapped; each row is under a checksum, see
    :mod:`fairseq2_jest.embedding.record_file`.
    """

    def __init__(
        self,
        scores: RecordFile,
        features: RecordFile,
        *,
        num_seeds: int,
        precision: InfluencePrecisionName,
        feature_dim: int,
        block_size: int,
    ) -> None:
        self._scores = scores
        self._features = features
        self._num_seeds = num_seeds
        self._precision = PRECISIONS[precision]
        self._dim = feature_dim
        self._block_size = block_size

    @staticmethod
    def open(
        folder: Path,
        *,
        identity: Mapping[str, str],
        num_rows: int,
        num_seeds: int,
        precision: InfluencePrecisionName,
        feature_dim: int,
        block_size: int,
    ) -> InfluenceStore:
        """Opens the store of ``identity`` under ``folder``, making it if need be.

        :param precision: That of influences.

        :raises EmbeddingError: It cannot be made or read.
        """
        full = {**identity, "block_size": str(block_size)}

        scores = open_identified(
            folder,
            {**full, "what": "scores", "precision": precision},
            num_records=num_rows,
            record_size=PRECISIONS[precision].record_size(num_seeds),
        )

        features = open_identified(
            folder,
            {**full, "what": "features"},
            num_records=num_rows,
            record_size=_FEATURES.record_size(feature_dim),
        )

        return InfluenceStore(
            scores,
            features,
            num_seeds=num_seeds,
            precision=precision,
            feature_dim=feature_dim,
            block_size=block_size,
        )

    @property
    def num_rows(self) -> int:
        return self._scores.num_records

    @property
    def num_bytes(self) -> int:
        """On the disk, once all is there."""
        return self._scores.size + self._features.size

    def allocated(self) -> int:
        """The bytes on the disk by now."""
        return self._scores.allocated() + self._features.allocated()

    @property
    def num_blocks(self) -> int:
        return -(-self.num_rows // self._block_size)

    def rows(self, block: int) -> NDArray[np.int64]:
        """The rows of a block, ascending."""
        begin = block * self._block_size

        return np.arange(begin, min(begin + self._block_size, self.num_rows), dtype=np.int64)

    def count_rows(self) -> int:
        """How many rows were scored, damaged ones included."""
        return self._scores.count()

    def done(self) -> NDArray[np.bool_]:
        """Which blocks are there and sound, all of them read. *Shape:* ``(num_blocks)``."""
        return np.array(
            [
                all(file.read(self.rows(block))[1].all() for file in (self._features, self._scores))
                for block in range(self.num_blocks)
            ],
            dtype=np.bool_,
        )

    def write(self, block: int, scores: NDArray[np.float32], features: NDArray[np.float32]) -> None:
        """Stores a block; both NaN for a pair that is not scored.

        :param scores: *Shape:* ``(n, T)``.
        :param features: *Shape:* ``(n, D)``.

        :raises EmbeddingError: The disk refuses.
        """
        rows = self.rows(block)

        # Scores come last: where they are, the features are, too.
        self._features.write(rows, _FEATURES.pack(features))
        self._scores.write(rows, self._precision.pack(scores))

    def blocks(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yields rows and their scores ``(n, T)``, in the order of rows, a few blocks at once.

        :raises InfluenceError: A row is missing.
        """
        step = _BLOCKS_READ_AT_ONCE * self._block_size

        for begin in range(0, self.num_rows, step):
            rows = np.arange(begin, min(begin + step, self.num_rows), dtype=np.int64)

            yield rows, self._precision.unpack(self._read(self._scores, rows), self._num_seeds)

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The features ``(n, D)`` of these rows.

        :raises InfluenceError: A row is missing.
        """
        return _FEATURES.unpack(self._read(self._features, rows), self._dim)

    def _read(self, file: RecordFile, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        records, sound = file.read(rows)

        if not sound.all():
            raise InfluenceError(
                f"{file.path} holds nothing sound for row {int(rows[np.argmin(sound)])}; run the "
                "command again, which makes it anew."
            )

        return records
