"""What an asset card of the ``parallel_text`` family may say."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Literal

from fairseq2.utils.validation import Validatable, ValidationResult

from fairseq2_jest.corpus.builtin.config import BuiltinConfig
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.pair import parse_direction

CorpusFormat = Literal["text", "tsv", "jsonl", "parquet", "builtin"]

_FORMATS_BY_SUFFIX: dict[str, CorpusFormat] = {
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}

_COMPRESSIONS: dict[str, str] = {".gz": "gzip", ".zst": "zstd"}


@dataclass(frozen=True, kw_only=True)
class CleaningConfig(Validatable):
    """Which pairs are rejected. Lengths are in characters of the normalised text."""

    min_chars: int = 1
    """A shorter text is rejected; an empty one always is."""

    max_chars: int = 2000
    """A longer text is rejected."""

    max_length_ratio: float = 4.0
    """A pair is rejected if its longer text has more than ``max_length_ratio`` times the shorter
    one's length, plus ``length_slack``."""

    length_slack: int = 20
    """What short texts are forgiven: ``Ja`` may well translate to ``Yes, of course``."""

    reject_copies: bool = False
    """Whether a pair whose two texts are equal but for case is rejected."""

    max_reject_share: float = 0.1
    """If a larger share of a corpus is rejected, the run ends before a model loads."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()
        if self.min_chars < 1:
            result.add_error("`min_chars` must be at least 1.")
        if self.max_chars < self.min_chars:
            result.add_error("`max_chars` must be at least `min_chars`.")
        if not self.max_length_ratio >= 1.0:
            result.add_error("`max_length_ratio` must be at least 1; `.inf` switches it off.")
        if self.length_slack < 0:
            result.add_error("`length_slack` must not be negative.")
        if not 0.0 <= self.max_reject_share <= 1.0:
            result.add_error("`max_reject_share` must be between 0 and 1.")
        return result


@dataclass(frozen=True, kw_only=True)
class CorpusConfig(Validatable):
    """One corpus: where its pairs are, in which direction, and how often they are seen.

    Relative paths are relative to the current directory; ``~`` is the home directory. A file whose
    name ends in ``.gz`` or ``.zst`` is decompressed while it is read.
    """

    split: str
    """The split it belongs to, e.g. ``train``; several corpora may form one split."""

    direction: str
    """``<source language>-<target language>`` in the tokenizer's codes: ``eng_Latn-deu_Latn``."""

    format: CorpusFormat | None = None
    """``text`` (two aligned files), ``tsv``, ``jsonl``, ``parquet`` or ``builtin``. If ``None``:
    ``text`` where ``source`` and ``target`` are given, ``builtin`` where ``builtin`` is, else by
    the suffix of ``path``."""

    path: Path | None = None
    """The file of a ``tsv``, ``jsonl`` or ``parquet`` corpus."""

    source: Path | None = None
    """The source side of a ``text`` corpus, one text a line."""

    target: Path | None = None
    """The target side of a ``text`` corpus, one text a line."""

    source_column: int | str | None = None
    """Where the source text is. ``tsv``: an index from 0, or a name, in which case the first line
    is a header (default 0). ``jsonl``: a key, inside ``translation`` if the line has that
    (default ``src``, ``source`` or the language). ``parquet``: a column (same defaults)."""

    target_column: int | str | None = None
    """Where the target text is; as ``source_column`` (default 1 in ``tsv``, else ``tgt``,
    ``target`` or the language)."""

    label_column: int | str | None = None
    """Where the label is (``clean`` or a kind of noise). Default: the corpus is not labelled."""

    num_columns: int | None = None
    """How many columns a ``tsv`` line has. Default: as the header, or just enough for the columns
    that are used. Lines with another number are rejected."""

    weight: float = 1.0
    """How many times the corpus is seen while a corpus of weight 1 is seen once."""

    synthetic: bool = False
    """Whether the sources were made by a model (back-translation)."""

    builtin: BuiltinConfig | None = None
    """What the built-in corpus generates, for ``format: builtin``."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()
        if not self.split:
            result.add_error("`split` must not be empty.")
        try:
            parse_direction(self.direction)
        except CorpusError as ex:
            result.add_error(f"`direction` is wrong: {ex}")
        if not (isfinite(self.weight) and self.weight > 0):
            result.add_error("`weight` must be positive.")
        format_ = corpus_format(self)
        if format_ is None:
            result.add_error(
                "`format` must be text, tsv, jsonl, parquet or builtin where the suffix of `path` "
                "does not say it (.tsv, .jsonl or .parquet, with .gz or .zst after it)."
            )
        else:
            self._check_sources(format_, result)
            self._check_columns(format_, result)
        return result

    def _check_sources(self, format_: CorpusFormat, result: ValidationResult) -> None:
        needed = {"text": ("source", "target"), "builtin": ("builtin",)}.get(format_, ("path",))
        for name in ("path", "source", "target", "builtin"):
            given = getattr(self, name) is not None
            if name in needed and not given:
                result.add_error(f"`{name}` must be given, since the format is {format_}.")
            elif given and name not in needed:
                result.add_error(f"`{name}` must not be given, since the format is {format_}.")
        if format_ == "parquet" and self.path is not None and compression_of(self.path):
            result.add_error(
                "`path` must be an uncompressed Parquet file (Parquet compresses its own columns)."
            )

    def _check_columns(self, format_: CorpusFormat, result: ValidationResult) -> None:
        columns = ("source_column", "target_column", "label_column")
        for name in columns:
            value = getattr(self, name)
            if value is None:
                continue
            if format_ in ("text", "builtin"):
                result.add_error(f"`{name}` must not be given, since the format is {format_}.")
            elif isinstance(value, bool) or value == "" or (isinstance(value, int) and value < 0):
                result.add_error(f"`{name}` must be a name or an index from 0.")
            elif isinstance(value, int) and format_ != "tsv":
                result.add_error(f"`{name}` must be a name, since the format is {format_}.")
        values = list(
            tsv_columns(self) if format_ == "tsv" else (getattr(self, c) for c in columns)
        )
        given = [v for v in values if v is not None]
        if len(set(given)) < len(given):
            result.add_error("The source, target and label columns must differ.")
        if format_ == "tsv" and len({isinstance(v, str) for v in given}) > 1:
            result.add_error(
                "`source_column`, `target_column` and `label_column` must be all names or all "
                "indices."
            )
        if self.num_columns is not None:
            if format_ != "tsv":
                result.add_error(f"`num_columns` must not be given, since the format is {format_}.")
            elif self.num_columns < 2:
                result.add_error("`num_columns` must be at least 2.")


@dataclass(frozen=True, kw_only=True)
class ParallelTextConfig(Validatable):
    """A data set of the ``parallel_text`` family: corpora in one or more splits and directions."""

    corpora: list[CorpusConfig] = field(default_factory=list)
    """The corpora; those of one split are mixed by their weights."""

    synthetic_corpora: list[CorpusConfig] = field(default_factory=list)
    """Further corpora, such as ``mt backtranslate`` names in the config that it writes: a list of
    their own, for that config to leave ``corpora`` as they are."""

    cleaning: CleaningConfig = field(default_factory=CleaningConfig)
    """Which pairs are rejected."""

    cache_dir: Path | None = None
    """Where prepared corpora are kept. Default: ``$FAIRSEQ2_JEST_CACHE_DIR``, else
    ``fairseq2_jest`` in the user's cache folder."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()
        if not self.corpora and not self.synthetic_corpora:
            result.add_error(
                "`corpora` must list at least one corpus; a config names them in "
                "`dataset.config_overrides.corpora`."
            )
        return result


def tsv_columns(config: CorpusConfig) -> tuple[int | str, int | str, int | str | None]:
    """Return the source, target and label columns of a ``tsv`` corpus, defaults filled in."""
    source = 0 if config.source_column is None else config.source_column
    target = 1 if config.target_column is None else config.target_column
    return source, target, config.label_column


def compression_of(path: Path) -> str | None:
    """Return ``gzip``, ``zstd`` or ``None``, by the suffix of ``path``."""
    return _COMPRESSIONS.get(path.suffix.lower())


def corpus_format(config: CorpusConfig) -> CorpusFormat | None:
    """Return the format of ``config``, guessed where it is not given, or ``None``."""
    if config.format is not None:
        return config.format
    if config.builtin is not None:
        return "builtin"
    if config.source is not None and config.target is not None:
        return "text"
    if config.path is None:
        return None
    path = config.path.with_suffix("") if compression_of(config.path) else config.path
    return _FORMATS_BY_SUFFIX.get(path.suffix.lower())
