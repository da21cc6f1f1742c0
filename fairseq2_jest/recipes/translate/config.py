"""The config of `fairseq2 mt translate`."""

from __future__ import annotations

from dataclasses import dataclass, field

from fairseq2.recipe.config import (
    BeamSearchConfig,
    CommonSection,
    GangSection,
    GeneratorSection,
    ReferenceModelSection,
    SamplingConfig,
    Seq2SeqGeneratorSection,
    TokenizerSection,
)
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.pair import parse_direction
from fairseq2_jest.corpus.prompt import PromptConfig
from fairseq2_jest.recipes.finished_run import RunSection, take_from_run
from fairseq2_jest.translation.batched_search import BATCHED_BEAM_SEARCH
from fairseq2_jest.translation.config import (
    InputConfig,
    OutputConfig,
    TranslationConfig,
    input_format,
    output_format,
)


@dataclass(kw_only=True)
class TranslatorConfig(Validatable):
    """fairseq2's own sections, and those of a translator: what all that translate have."""

    direction: str = ""
    """``<source language>-<target language>`` in the tokenizer's codes: ``eng_Latn-deu_Latn``."""

    input: InputConfig = field(default_factory=InputConfig)
    """What is translated."""

    run: RunSection = field(default_factory=RunSection)
    """A run of ``mt finetune`` that ``model`` and ``tokenizer`` are taken from, whatever these say
    themselves; of ``model``, what does not name a model, such as ``dtype``, stays."""

    model: ReferenceModelSection = field(
        default_factory=lambda: ReferenceModelSection(name="nllb-200_dense_distill_600m")
    )
    """The model."""

    tokenizer: TokenizerSection = field(default_factory=lambda: TokenizerSection(name="nllb-200"))
    """Its tokenizer."""

    prompt: PromptConfig = field(default_factory=PromptConfig)
    """How a decoder-only model is asked for a translation; taken from ``run``, too."""

    translation: TranslationConfig = field(default_factory=TranslationConfig)
    """How lines become batches."""

    # A bound that does not depend on the longest source of a batch, so that neither does the
    # translation of a line.
    seq2seq_generator: Seq2SeqGeneratorSection = field(
        default_factory=lambda: Seq2SeqGeneratorSection(
            name=BATCHED_BEAM_SEARCH, config=BeamSearchConfig(max_gen_len=256)
        )
    )
    """The beam search: ``batched_beam_search``, which searches for all lines of a batch at once, or
    fairseq2's ``beam_search``, which finds the same and takes models and algorithms of any kind."""

    generator: GeneratorSection = field(default_factory=GeneratorSection)
    """Automatic mixed precision; ``model.dtype`` is the dtype of the weights."""

    gang: GangSection = field(default_factory=GangSection)
    """fairseq2's processes."""

    # The result is where the user said, and any number of processes can go on with it. What was
    # made of something else is told by the manifest.
    common: CommonSection = field(default_factory=lambda: CommonSection(no_sweep_dir=True))
    """Threads, extra assets."""

    def complete(self, resolver: DependencyResolver) -> None:
        """Takes model and tokenizer from ``run``, where it names one; twice does no more than once.

        :raises UsageError: There is no such run, or no such checkpoint in it.
        """
        take_from_run(self, resolver)

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        try:
            parse_direction(self.direction)
        except CorpusError as ex:
            result.add_error(f"`direction` is wrong: {ex}")

        if self.gang.tensor_parallel_size != 1:
            result.add_error(
                "`gang.tensor_parallel_size` must be 1: each process translates lines of its own."
            )

        return result


@dataclass(kw_only=True)
class TranslateConfig(TranslatorConfig):
    """The sections of a translation."""

    output: OutputConfig = field(default_factory=OutputConfig)
    """What comes out, and where."""

    @override
    def validate(self) -> ValidationResult:
        result = super().validate()

        search, output = self.seq2seq_generator.config, self.output

        if isinstance(search, BeamSearchConfig) and search.beam_size < output.num_hypotheses:
            result.add_error(
                f"`output.num_hypotheses` ({output.num_hypotheses}) must not exceed "
                f"`seq2seq_generator.config.beam_size` ({search.beam_size})."
            )

        if isinstance(search, SamplingConfig):
            if output.num_hypotheses > 1:
                result.add_error(
                    f"`output.num_hypotheses` is {output.num_hypotheses}, but must be 1 where "
                    "`seq2seq_generator.name` is sampling, which draws one translation of a line."
                )
            if output.scores and not search.compute_scores:
                result.add_error(
                    "`seq2seq_generator.config.compute_scores` must be true where `output.scores` "
                    "is."
                )

        source = input_format(self.input)

        has_own_key = source != "jsonl" and output_format(output, source) == "jsonl"

        if has_own_key and output.column == "source":
            result.add_error(
                "`output.column` must not be 'source', where the source goes: the input is "
                f"{source}."
            )

        return result
