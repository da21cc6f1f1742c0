"""The config of `fairseq2 mt backtranslate`."""

from __future__ import annotations

from dataclasses import dataclass, field

from fairseq2.utils.validation import ValidationResult
from typing_extensions import override

from fairseq2_jest.augmentation.config import FilterConfig, MonolingualConfig, NoiseConfig
from fairseq2_jest.corpus.builtin import BuiltinConfig
from fairseq2_jest.recipes.sections import ReferenceEncoderSection
from fairseq2_jest.recipes.translate.config import TranslatorConfig
from fairseq2_jest.translation.config import InputConfig


@dataclass(frozen=True, kw_only=True)
class MonolingualInput(InputConfig):
    """Text in the target language."""

    builtin: BuiltinConfig | None = None
    """In place of a file, the target side of the built-in corpus."""

    @override
    def validate(self) -> ValidationResult:
        result = super().validate()

        if self.builtin is not None and self.path is not None:
            result.add_error("`path` must not be given where `builtin` is.")

        return result


@dataclass(kw_only=True)
class BacktranslateConfig(TranslatorConfig):
    """The sections of a back-translation.

    ``direction`` is that of the pairs that are made: the input is in its target language, and the
    model translates from there into its source language. ``seq2seq_generator`` decodes: by beam
    search, or by sampling (``name: sampling``) from all words (``sampler: {name: top_p, config: {p:
    1.0}}``) or from the likeliest (``sampler: {name: top_k, config: {k: 10}}``).
    """

    input: MonolingualInput = field(default_factory=MonolingualInput)
    """What is translated back."""

    cleaning: MonolingualConfig = field(default_factory=MonolingualConfig)
    """Which lines are not translated at all."""

    filters: FilterConfig = field(default_factory=FilterConfig)
    """Which pairs are left out. This and what is below may change between runs of one output
    directory, without anything being translated again."""

    reference_encoder: ReferenceEncoderSection = field(default_factory=ReferenceEncoderSection)
    """What scores pairs, for ``filters.min_reference_score``."""

    noise: NoiseConfig | None = None
    """What is done to the words of synthetic sources after filtering; ``None`` for nothing."""
