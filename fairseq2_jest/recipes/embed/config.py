"""The config of `fairseq2 mt embed`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fairseq2.recipe.config import CommonSection, GangSection
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from fairseq2_jest.recipes.sections import BitextSection, ReferenceEncoderSection


@dataclass(frozen=True, kw_only=True)
class FillConfig:
    """How the store is filled."""

    sample_size: int = 1024
    """The most pairs that are embedded, and thrown away, to predict the time; 0 for no
    prediction of the time."""

    merge_from: tuple[Path, ...] = ()
    """Folders ``embeddings`` of other caches, filled elsewhere: what they hold of this corpus is
    copied before the rest is made."""

    log_every_seconds: float = 30.0
    """How often progress is logged."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.sample_size < 0:
            result.add_error(f"`sample_size` must not be negative, but is {self.sample_size}.")
        if not self.log_every_seconds > 0.0:
            result.add_error(
                f"`log_every_seconds` must be positive, but is {self.log_every_seconds}."
            )

        return result


@dataclass(kw_only=True)
class EmbedConfig(Validatable):
    """fairseq2's own sections, and those that a fine-tune has, too.

    A fine-tune is served from what this fills if ``dataset``, ``reference_encoder`` and
    ``reference_store`` are the same.
    """

    dataset: BitextSection = field(default_factory=lambda: BitextSection(family="parallel_text"))
    """The bitext; its ``train_split`` is embedded."""

    reference_encoder: ReferenceEncoderSection = field(default_factory=ReferenceEncoderSection)
    """What embeds it."""

    reference_store: ReferenceStoreConfig = field(default_factory=ReferenceStoreConfig)
    """Precision and dimension of what is kept."""

    fill: FillConfig = field(default_factory=FillConfig)
    """How the store is filled."""

    gang: GangSection = field(default_factory=GangSection)
    """fairseq2's processes."""

    common: CommonSection = field(default_factory=CommonSection)
    """Threads, extra assets."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.gang.tensor_parallel_size != 1:
            result.add_error(
                "`gang.tensor_parallel_size` must be 1: each process embeds pairs of its own."
            )

        return result
