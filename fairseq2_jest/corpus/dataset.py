"""A data set of the ``parallel_text`` family, open for reading."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.cache import cache_dir
from fairseq2_jest.corpus.config import ParallelTextConfig
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.manifest import Manifest, json_sha256
from fairseq2_jest.corpus.pair import Direction, Pair, parse_direction

if TYPE_CHECKING:
    from fairseq2_jest.corpus.table import CorpusTable


@dataclass(frozen=True, kw_only=True)
class CorpusPart:
    """One prepared corpus among those of a split."""

    table: CorpusTable = field(repr=False)

    manifest: Manifest
    """Counts of lines kept and rejected, labels and digests."""

    direction: Direction

    synthetic: bool

    weight: float

    first_row: int
    """The global row of the part's first row."""

    summary: str = ""
    """What was kept and rejected, and why, in one sentence."""

    def __len__(self) -> int:
        return len(self.table)


class Corpus:
    """The pairs of one split, in all its parts one after the other.

    A *row* is a global index from 0, and stays what it is as long as the parts and their contents
    do (see :attr:`digest`). Methods that take ``rows`` take *N* of them in any order, repeats
    allowed, and raise :class:`IndexError` for a row that does not exist.
    """

    def __init__(self, split: str, parts: Iterable[CorpusPart]) -> None:
        self.split = split
        self.parts = tuple(parts)
        sizes = [len(p) for p in self.parts]
        self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.directions: tuple[Direction, ...] = tuple(
            dict.fromkeys(p.direction for p in self.parts)
        )
        """The directions of the split, each once."""

        self._part_directions = np.array(
            [self.directions.index(p.direction) for p in self.parts], dtype=np.int64
        )

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def sizes(self) -> list[int]:
        """Number of rows of each part."""
        return [len(p) for p in self.parts]

    @property
    def weights(self) -> list[float]:
        """Weight of each part: see :class:`~fairseq2_jest.corpus.sampling.CorpusSampler`."""
        return [p.weight for p in self.parts]

    @property
    def is_labelled(self) -> bool:
        """Whether any pair has a label."""
        return any(p.manifest.labels for p in self.parts)

    @property
    def has_synthetic(self) -> bool:
        """Whether the sources of any pair were made by a model."""
        return any(p.synthetic for p in self.parts)

    @property
    def digest(self) -> str:
        """Hex digest that is the same exactly if every row is."""
        return json_sha256([(p.manifest.digest, p.synthetic) for p in self.parts])

    def pair(self, row: int) -> Pair:
        """Return the pair of ``row``."""
        rows = np.array([row], dtype=np.int64)
        part = self.parts[int(self._part_index(rows)[0])]
        local = rows - part.first_row
        (source,), (target,) = part.table.texts(local)
        id_ = f"{part.manifest.content_digest[:16]}:{int(part.table.lines(local)[0])}"
        (label,) = part.table.labels(local)
        return Pair(id_, part.direction, source, target, part.synthetic, label)

    def texts(self, rows: NDArray[np.int64]) -> tuple[list[str], list[str]]:
        """Return the source and the target texts of ``rows``."""
        sources, targets = [""] * len(rows), [""] * len(rows)
        for part, places in self._by_part(rows):
            both = part.table.texts(rows[places] - part.first_row)
            for place, source, target in zip(places.tolist(), *both, strict=True):
                sources[place] = source
                targets[place] = target
        return sources, targets

    def labels(self, rows: NDArray[np.int64]) -> list[str | None]:
        """Return the labels of ``rows``: ``clean``, a kind of noise, or ``None``."""
        output: list[str | None] = [None] * len(rows)
        for part, places in self._by_part(rows):
            labels = part.table.labels(rows[places] - part.first_row)
            for place, label in zip(places.tolist(), labels, strict=True):
                output[place] = label
        return output

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the ids of the pairs of ``rows``, as :attr:`Pair.id`."""
        output = [""] * len(rows)
        for part, places in self._by_part(rows):
            lines = part.table.lines(rows[places] - part.first_row)
            prefix = part.manifest.content_digest[:16]
            for place, line in zip(places.tolist(), lines.tolist(), strict=True):
                output[place] = f"{prefix}:{line}"
        return output

    def synthetic(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the sources of ``rows`` were made by a model (*N*)."""
        return np.array([p.synthetic for p in self.parts], dtype=np.bool_)[self._part_index(rows)]

    def direction_index(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the indices of ``rows`` into :attr:`directions` (*N*)."""
        return self._part_directions[self._part_index(rows)]

    def _part_index(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if len(rows) and (rows.min() < 0 or rows.max() >= len(self)):
            raise IndexError(f"rows must be between 0 and {len(self) - 1}")
        return np.searchsorted(self._starts, rows, side="right") - 1

    def _by_part(self, rows: NDArray[np.int64]) -> Iterator[tuple[CorpusPart, NDArray[np.int64]]]:
        index = self._part_index(rows)
        for i in np.unique(index).tolist():
            yield self.parts[i], np.flatnonzero(index == i)


class ParallelText:
    """The splits of a data set. A split's corpora are prepared when it is opened."""

    def __init__(self, config: ParallelTextConfig) -> None:
        self._config = config
        self._corpora = [*config.corpora, *config.synthetic_corpora]

    @property
    def config(self) -> ParallelTextConfig:
        """What describes it."""
        return self._config

    def splits(self) -> set[str]:
        """Return the names of the splits."""
        return {c.split for c in self._corpora}

    def open(self, split: str) -> Corpus:
        """Open ``split``, preparing its corpora where that has not been done.

        :raises CorpusError: If there is no such split, or a corpus of it cannot be used.
        """
        # pyarrow takes a third of a second, and the extension imports this module.
        from fairseq2_jest.corpus.prepare import prepare_corpus
        from fairseq2_jest.corpus.table import CorpusTable

        configs = [c for c in self._corpora if c.split == split]
        if not configs:
            raise CorpusError(
                f"The data set has no split '{split}'; name one of "
                f"{', '.join(map(repr, sorted(self.splits())))}"
                + (", or set dataset.valid_split to null for none." if split == "valid" else ".")
            )
        root = (
            cache_dir() if self._config.cache_dir is None else self._config.cache_dir.expanduser()
        )
        parts: list[CorpusPart] = []
        for config in configs:
            prepared = prepare_corpus(config, self._config.cleaning, root)
            part = CorpusPart(
                table=CorpusTable(prepared.table),
                manifest=prepared.manifest,
                direction=parse_direction(config.direction),
                synthetic=config.synthetic,
                weight=config.weight,
                summary=prepared.summary,
                first_row=sum(map(len, parts)),
            )
            parts.append(part)
        return Corpus(split, parts)


def open_parallel_text(config: ParallelTextConfig) -> ParallelText:
    """Open the data set that ``config`` describes; no file is touched before a split is opened.

    :raises CorpusError: If ``config`` is not valid.
    """
    from fairseq2.utils.validation import StandardObjectValidator, ValidationError

    try:
        StandardObjectValidator().validate(config)
    except ValidationError as ex:
        raise CorpusError(f"The data set's configuration is not valid: {ex}") from None
    return ParallelText(config)
