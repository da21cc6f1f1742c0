"""Monolingual text as the lines of a corpus, cleaned before anything is translated."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fairseq2_jest.augmentation.config import MonolingualConfig
from fairseq2_jest.augmentation.language_identification import LanguageLikelihood, is_of_language
from fairseq2_jest.corpus.cleaning import Reason
from fairseq2_jest.corpus.config import compression_of
from fairseq2_jest.corpus.prepare import PreparedCorpus, cleaning_key, prepare_lines
from fairseq2_jest.corpus.records import Reader, Record, Reject, excerpt
from fairseq2_jest.translation.config import InputConfig, input_format
from fairseq2_jest.translation.errors import LineError
from fairseq2_jest.translation.source import SourceFile

_VERSION = 1
"""Raised whenever the same lines would be cleaned in another way."""


class FileLines:
    """The lines of a file, as targets of pairs that have no source yet."""

    def __init__(self, source: SourceFile, config: InputConfig) -> None:
        self.files: tuple[Path, ...] = (source.path,)
        self.names = (source.name,)
        self.sides = (0, 0)
        self.settings: Mapping[str, object] = {
            "format": input_format(config),
            "column": config.column,
            "compression": compression_of(source.path),
        }
        self._source = source

    def check(self) -> None:
        """Nothing: each line stands for itself."""

    def read(self) -> Iterator[Record | Reject]:
        """Yields every line, in order.

        :raises CorpusError: The file cannot be read.
        """
        for number, line in self._source.numbered():
            try:
                text = self._source.parse(number, line).text
            except LineError as ex:
                yield Reject(0, number, ex.reason, excerpt(line or b""))
            else:
                if text:
                    yield Record(number, "", text, None)
                else:
                    yield Reject(0, number, Reason.EMPTY_LINE, "")


class DistinctTargets:
    """The targets of a reader, each once."""

    def __init__(self, inner: Reader) -> None:
        self.files = inner.files
        self.names = inner.names
        self.sides = inner.sides
        self.settings = inner.settings
        self._inner = inner

    def check(self) -> None:
        """See the reader's own."""
        self._inner.check()

    def read(self) -> Iterator[Record | Reject]:
        """Yields every line, in order; what came before, but for case, is rejected."""
        is_first = first_places(x.target for x in self._inner.read() if isinstance(x, Record))

        place = 0

        for item in self._inner.read():
            if isinstance(item, Record):
                if not is_first[place]:
                    yield Reject(0, item.line, Reason.DUPLICATE, excerpt(item.target))
                else:
                    yield item

                place += 1
            else:
                yield item


def first_places(texts: Iterable[str]) -> NDArray[np.bool_]:
    """Whether each of N texts came for the first time, but for case. *Shape:* ``(N)``.

    Eight bytes of each are kept, a hash; of a billion texts, 0.03 are lost on average.
    """
    hashes = array("Q")

    for text in texts:
        digest = blake2b(text.casefold().encode(), digest_size=8).digest()

        hashes.append(int.from_bytes(digest, "little"))

    output = np.zeros(len(hashes), dtype=np.bool_)

    output[np.unique(np.frombuffer(hashes, dtype=np.uint64), return_index=True)[1]] = True

    return output


def prepare_monolingual(
    reader: Reader, cleaning: MonolingualConfig, language: LanguageLikelihood, root: Path
) -> PreparedCorpus:
    """The prepared table of the lines to translate, made where it is not there yet.

    Sources are empty, targets are the lines; see
    :func:`fairseq2_jest.corpus.prepare.prepare_corpus`.

    :param reader: Its targets are the lines, in ``language``.

    :raises CorpusError: The lines cannot be read, there are none, or too many are rejected.
    """
    if cleaning.reject_duplicates:
        reader = DistinctTargets(reader)

    def clean(record: Record) -> Record | Reject:
        reason = line_damage(record.target, cleaning, language)

        if reason is None:
            return Record(record.line, "", record.target, None)

        return Reject(0, record.line, reason, excerpt(record.target))

    return prepare_lines(
        reader,
        clean,
        root,
        key={
            "monolingual": _VERSION,
            "lang": language.lang,
            "cleaning": cleaning_key(cleaning),
            **reader.settings,
        },
        direction=language.lang,
        max_reject_share=cleaning.max_reject_share,
    )


def line_damage(
    text: str, config: MonolingualConfig, language: LanguageLikelihood
) -> Reason | None:
    """Why a line is rejected, or ``None``."""
    if len(text) < config.min_chars:
        return Reason.TARGET_TOO_SHORT
    if len(text) > config.max_chars:
        return Reason.TARGET_TOO_LONG
    if not is_of_language(text, language, config.min_language_likelihood):
        return Reason.LANGUAGE

    return None
