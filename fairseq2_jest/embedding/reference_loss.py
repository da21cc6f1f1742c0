"""The loss of corpus rows under a frozen translation model: computed once, and kept on disk."""

from __future__ import annotations

from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Module

from fairseq2_jest.cache import cache_dir
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.record_file import RecordFile
from fairseq2_jest.embedding.store import SCHEMA_VERSION, open_identified
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.embedding.translation_loss import TranslationLoss

_RECORD = np.dtype([("loss", "<f4"), ("tokens", "<u4")])


class ReferenceLoss:
    """The irreducible loss of pairs (RHO-LOSS, arXiv 2206.07137, Eq. 3): what a model that learned
    from trusted pairs still loses on them.

    Each row is scored once. A checksum of its tokens, special ones included, is kept beside its
    loss, so that a loss is never served for others than it was computed for; a damaged record is
    computed anew. What a call lacks is scored together and stored all or none, as in
    :class:`~fairseq2_jest.embedding.cached.CachedReference`.
    """

    def __init__(self, scorer: TranslationLoss, file: RecordFile) -> None:
        self._scorer = scorer
        self._file = file

    @classmethod
    def open(
        cls,
        scorer: TranslationLoss,
        *,
        model_digest: str,
        corpus_digest: str,
        num_rows: int,
        folder: Path | None = None,
    ) -> ReferenceLoss:
        """Open, or make, the losses of a corpus under one model.

        :param model_digest: See :func:`~fairseq2_jest.embedding.digest.digest_of_model`.
        :param corpus_digest: Changes whenever the text of any row does.
        :param folder: Where stores live; by default ``embeddings`` in the cache folder.
        :raises EmbeddingError: They cannot be opened.
        """
        identity = {
            "model": model_digest,
            "corpus": corpus_digest,
            "content": "loss",
            "num_rows": str(num_rows),
            "schema": SCHEMA_VERSION,
        }
        file = open_identified(
            cache_dir() / "embeddings" if folder is None else folder,
            identity,
            num_records=num_rows,
            record_size=_RECORD.itemsize,
        )
        return cls(scorer, file)

    @property
    def model(self) -> Module:
        """The model whose loss it is."""
        return self._scorer.model

    def num_tokens(self, pairs: TokenizedPairs) -> tuple[int, int]:
        """See :meth:`PairFormat.num_tokens`."""
        return self._scorer.num_tokens(pairs)

    def score(
        self, rows: NDArray[np.int64], pairs: TokenizedPairs
    ) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
        """Return the losses ``(n,)`` of ``rows`` in units of ``ln V``, and which were computed now.

        :param rows: ``(n,)`` int64, distinct.
        :param pairs: Their tokens.
        :returns: The losses, and the places ``(m,)`` of those rows that the store lacked.
        :raises EmbeddingError: A loss is not finite, or the store cannot be read or written.
        """
        checksums = np.array(
            [_checksum(*pair) for pair in zip(*self._scorer.sequences(pairs), strict=True)],
            dtype=np.uint32,
        )
        held, sound = self._read(rows)
        lacking = np.flatnonzero(~(sound & (held["tokens"] == checksums)))
        if len(lacking) > 0:
            losses = self._scorer.score(pairs.take(lacking.tolist())).cpu().numpy()
            if not np.isfinite(losses).all():
                raise EmbeddingError(
                    "The reference model's loss of a pair is not finite: check its checkpoint and "
                    "its dtype."
                )
            made = np.empty(len(lacking), dtype=_RECORD)
            made["loss"], made["tokens"] = losses, checksums[lacking]
            # Not what was made: another process may have been faster.
            held[lacking] = self._keep(rows[lacking], made)
        return held["loss"].astype(np.float32), lacking

    def _keep(self, rows: NDArray[np.int64], made: NDArray[np.void]) -> NDArray[np.void]:
        self._file.write(rows, _bytes(made))
        held, sound = self._read(rows)
        # Of the same row under another tokenizer.
        stale = np.flatnonzero(~sound | (held["tokens"] != made["tokens"]))
        if len(stale) > 0:
            self._file.write(rows[stale], _bytes(made[stale]), replace=True)
            held[stale] = made[stale]
        return held

    def _read(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.void], NDArray[np.bool_]]:
        records, sound = self._file.read(rows)
        return records.view(_RECORD)[:, 0].copy(), sound


def _bytes(records: NDArray[np.void]) -> NDArray[np.uint8]:
    return records.view(np.uint8).reshape(len(records), -1)


def _checksum(source: Tensor, target: Tensor) -> int:
    return crc32(target.numpy().tobytes(), crc32(source.numpy().tobytes()))
