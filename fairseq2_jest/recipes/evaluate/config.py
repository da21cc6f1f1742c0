"""The config of `fairseq2 mt evaluate`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fairseq2.recipe.config import CommonSection, GangSection
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.pair import parse_direction
from fairseq2_jest.evaluation.metrics import MetricsConfig
from fairseq2_jest.evaluation.significance import SignificanceConfig
from fairseq2_jest.recipes.sections import BitextSection


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig(Validatable):
    """Where the texts are in ``tsv`` and ``jsonl`` files: in ``tsv`` an index from 0, or a name,
    in which case the first line is a header; in ``jsonl`` a key."""

    hypothesis: int | str = "hypothesis"
    """Of a translation; by default as ``mt translate`` calls it in ``jsonl``, and in ``tsv`` where
    the input had a header. The ``tsv`` that it makes of plain text has none: there it is column 1.
    """

    reference: int | str | None = None
    """Of a reference; by default column 1, or ``tgt``, ``target`` or the language."""

    source: int | str | None = None
    """Of a source; by default column 0, or ``src``, ``source`` or the language."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        for name in ("hypothesis", "reference", "source"):
            value = getattr(self, name)

            if value == "" or isinstance(value, bool) or (isinstance(value, int) and value < 0):
                result.add_error(f"`{name}` must be a name or an index from 0.")

        return result


@dataclass(kw_only=True)
class EvaluateConfig(Validatable):
    """What is scored, and how. A file whose name ends in ``.tsv`` or ``.jsonl`` is read as that,
    others as plain text; with ``.gz`` or ``.zst`` behind it it is decompressed."""

    direction: str = ""
    """``<source language>-<target language>``, such as ``eng_Latn-deu_Latn`` or ``en-de``; the
    target language decides the tokenizer."""

    systems: dict[str, Path] = field(default_factory=dict)
    """The files of translations by the names of their systems; the first one is what the others are
    tested against."""

    references: list[Path] = field(default_factory=list)
    """The files of one or more references."""

    source: Path | None = None
    """The file of what was translated; for COMET, and for the overlap with training data."""

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    """Where the texts are in files with columns."""

    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    """Which scores are computed."""

    significance: SignificanceConfig = field(default_factory=SignificanceConfig)
    """How each system is tested against the first one."""

    dataset: BitextSection | None = None
    """The training data, as ``mt finetune`` has it: test lines are looked for in its
    ``train_split``."""

    gang: GangSection = field(default_factory=GangSection)
    """fairseq2's processes, of which there is one here."""

    common: CommonSection = field(default_factory=lambda: CommonSection(no_sweep_dir=True))
    """Threads, extra assets."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        try:
            parse_direction(self.direction)
        except CorpusError as ex:
            result.add_error(f"`direction` is wrong: {ex}")

        if not self.systems:
            result.add_error(
                "`systems` must name a file of translations, as in "
                "--config systems.mine=translations.txt."
            )
        if not self.references:
            result.add_error("`references` must name a file, as in --config references=[ref.txt].")
        if self.metrics.comet is not None and self.source is None:
            result.add_error("`source` must be given where `metrics.comet` is.")

        return result
