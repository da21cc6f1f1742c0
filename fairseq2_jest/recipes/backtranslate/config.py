"""The config of `fairseq2 mt backtranslate`."""

from __future__ import annotations

from dataclasses import dataclass, field

from fairseq2.recipe.config import (
    BeamSearchConfig,
    ReferenceModelSection,
    Seq2SeqGeneratorSection,
    TokenizerSection,
)
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.augmentation.config import FilterConfig, MonolingualConfig, NoiseConfig
from fairseq2_jest.corpus.builtin import BuiltinConfig
from fairseq2_jest.corpus.prompt import PromptConfig
from fairseq2_jest.recipes.finished_run import RunSection
from fairseq2_jest.recipes.sections import ReferenceEncoderSection
from fairseq2_jest.recipes.translate.config import TranslatorConfig
from fairseq2_jest.translation.batched_search import BATCHED_BEAM_SEARCH
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
class ForwardSection(Validatable):
    """What translates synthetic sources forward again, with beam search."""

    run: RunSection = field(default_factory=RunSection)
    """A run of ``mt finetune`` whose model it is."""

    model: ReferenceModelSection | None = None
    """The model, where it is not that of a run."""

    tokenizer: TokenizerSection | None = None
    """Its tokenizer; ``None`` for the one on the model's card or in its folder."""

    prompt: PromptConfig = field(default_factory=PromptConfig)
    """How a decoder-only model is asked for a translation; taken from ``run``, too."""

    seq2seq_generator: Seq2SeqGeneratorSection = field(
        default_factory=lambda: Seq2SeqGeneratorSection(
            name=BATCHED_BEAM_SEARCH, config=BeamSearchConfig(max_gen_len=256)
        )
    )
    """The search."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if (self.run.path is None) == (self.model is None):
            result.add_error("Either `run.path` or `model` must be given.")

        if self.model is not None and self.model.name is None and self.tokenizer is None:
            result.add_error("`tokenizer` must be given where `model.name` is not.")

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

    forward: ForwardSection | None = None
    """What translates sources forward again, for ``filters.min_round_trip_chrf``; all of them, so
    that other filters translate nothing again."""

    noise: NoiseConfig | None = None
    """What is done to the words of synthetic sources after filtering; ``None`` for nothing."""

    @override
    def validate(self) -> ValidationResult:
        result = super().validate()

        if self.filters.min_round_trip_chrf is not None and self.forward is None:
            result.add_error(
                "`forward` must name a model where `filters.min_round_trip_chrf` is given."
            )

        return result
