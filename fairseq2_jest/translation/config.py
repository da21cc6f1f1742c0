"""What is translated, how, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fairseq2.utils.validation import Validatable, ValidationResult

from fairseq2_jest.corpus.config import compression_of

TextFormat = Literal["text", "tsv", "jsonl"]

FILE_SUFFIXES: Final[dict[TextFormat, str]] = {"text": ".txt", "tsv": ".tsv", "jsonl": ".jsonl"}
"""What a file of each format is called by default."""

_FORMATS_BY_SUFFIX: Final[dict[str, TextFormat]] = {
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}


@dataclass(frozen=True, kw_only=True)
class InputConfig(Validatable):
    """What is translated. A file whose name ends in ``.gz`` or ``.zst`` is decompressed."""

    path: Path | None = None
    """The file; ``None`` for standard input."""

    format: TextFormat | None = None
    """``text`` (one text a line), ``tsv`` or ``jsonl``; if ``None``, by the suffix of ``path``."""

    column: int | str | None = None
    """Where the text is. ``tsv``: an index from 0, or a name, in which case the first line is a
    header (default 0). ``jsonl``: a key, inside ``translation`` if the line has that (default
    ``src``, ``source`` or the language)."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        format_ = input_format(self)

        if isinstance(self.column, bool) or self.column == "":
            result.add_error("`column` must be a name or an index from 0.")
        elif self.column is not None and format_ == "text":
            result.add_error("`column` must not be given, since the format is text.")
        elif isinstance(self.column, int) and format_ == "jsonl":
            result.add_error("`column` must be a name, since the format is jsonl.")
        elif isinstance(self.column, int) and self.column < 0:
            result.add_error(f"`column` must be a name or an index from 0, but is {self.column}.")

        return result


@dataclass(frozen=True, kw_only=True)
class OutputConfig(Validatable):
    """What comes out: always one line for each line of the input, in its order."""

    path: Path | None = None
    """The file, compressed if its name ends in ``.gz`` or ``.zst``; by default ``translations``
    with the suffix of the format, in the output directory."""

    format: TextFormat | None = None
    """``text``, ``tsv`` or ``jsonl``; if ``None``, by the suffix of ``path``, else as the input's.
    ``tsv`` and ``jsonl`` keep what else a line of an input of that format has, or else the
    source."""

    column: str = "hypothesis"
    """The key of a translation in ``jsonl``, or its name in the header of ``tsv``."""

    num_hypotheses: int = 1
    """How many translations of each line, best first: in ``tsv`` further columns, in ``jsonl`` a
    list under ``hypotheses``. At most as many as the beam is wide, and one where words are
    drawn."""

    scores: bool = False
    """Whether to write the score behind each translation, the log-probability as the generator
    normalises it. Where a line was split it is the mean over its parts, weighted by length."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if not self.column or "\t" in self.column or "\n" in self.column:
            result.add_error("`column` must be a name without tabs and line ends.")
        if self.scores and self.column == "score":
            result.add_error("`column` must not be 'score' where `scores` is true.")
        if self.num_hypotheses > 1 and self.column == "hypotheses":
            result.add_error(
                "`column` must not be 'hypotheses' where `num_hypotheses` is greater than 1."
            )
        if self.num_hypotheses < 1:
            result.add_error(f"`num_hypotheses` must be at least 1, but is {self.num_hypotheses}.")

        return result


@dataclass(frozen=True, kw_only=True)
class TranslationConfig(Validatable):
    """How lines become batches."""

    long_lines: Literal["split", "report"] = "split"
    """What becomes of a line of more than ``max_source_len`` tokens. ``split``: it is translated
    in parts that end at sentence ends where possible, and joined again. ``report``: its
    translation is empty, and it is listed in ``not_translated.tsv``."""

    max_source_len: int = 256
    """The most tokens that the model is given at once, special tokens included."""

    max_num_tokens: int = 8192
    """The most source tokens of a batch, padding included; the beam multiplies what that takes."""

    max_batch_size: int = 256
    """The most texts of a batch: the decoder's part of the memory is beam times vocabulary for
    each, however short."""

    block_size: int = 1024
    """How many lines are read, sorted by length and translated at a time; after each such block
    its result is safe, and a resumed run goes on behind it."""

    log_every_seconds: float = 30.0
    """How often progress is logged."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.max_source_len < 8:
            result.add_error(f"`max_source_len` must be at least 8, but is {self.max_source_len}.")
        if self.max_num_tokens < self.max_source_len:
            result.add_error(
                f"`max_num_tokens` must be at least `max_source_len` ({self.max_source_len}), but "
                f"is {self.max_num_tokens}."
            )
        if self.max_batch_size < 1:
            result.add_error(f"`max_batch_size` must be at least 1, but is {self.max_batch_size}.")
        if self.block_size < 1:
            result.add_error(f"`block_size` must be at least 1, but is {self.block_size}.")
        if not self.log_every_seconds > 0.0:
            result.add_error(
                f"`log_every_seconds` must be positive, but is {self.log_every_seconds}."
            )

        return result


def input_format(config: InputConfig) -> TextFormat:
    """The format of the input, guessed where it is not given."""
    return config.format or format_of_suffix(config.path) or "text"


def output_format(config: OutputConfig, source: TextFormat) -> TextFormat:
    """The format of the output, given the input's."""
    if config.format is not None:
        return config.format

    if config.path is None:
        return source

    return format_of_suffix(config.path) or "text"


def format_of_suffix(path: Path | None) -> TextFormat | None:
    """``tsv`` or ``jsonl`` if ``path`` is called so, compressed or not."""
    if path is None:
        return None

    return _FORMATS_BY_SUFFIX.get(
        (path.with_suffix("") if compression_of(path) else path).suffix.lower()
    )
