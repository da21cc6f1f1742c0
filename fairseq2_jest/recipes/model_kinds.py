"""What differs between encoder-decoder and decoder-only models, for a recipe to ask for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict
from typing import Any, cast

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.generation import SequenceGenerator
from fairseq2.models import ModelFamily
from fairseq2.models.clm import CausalLM
from fairseq2.models.hg import HG_FAMILY, HgCausalLMAdapter
from fairseq2.models.transformer import TransformerModel
from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.component import ComponentManager, ComponentNotKnownError
from fairseq2.recipe.config import (
    BEAM_SEARCH_GENERATOR,
    BeamSearchConfig,
    ModelSection,
    ReferenceModelSection,
    Seq2SeqGeneratorSection,
)
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.prompt import Prompt, PromptConfig
from fairseq2_jest.embedding.pair_format import EncoderDecoderFormat
from fairseq2_jest.embedding.prompting import PromptFormat, PromptTokenizer
from fairseq2_jest.embedding.tokens import PairReader
from fairseq2_jest.embedding.translation_format import (
    AnyGenerator,
    EncoderDecoderTranslation,
    PromptTranslation,
    TranslationFormat,
)
from fairseq2_jest.models.causal_lm import CausalParts
from fairseq2_jest.models.generation import ignore_prompt_scores
from fairseq2_jest.recipes.languages import check_direction
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.tokenizing import PairTokenizer
from fairseq2_jest.training.errors import TrainingError
from fairseq2_jest.training.pair_loss import EncoderDecoderLoss, PairLoss, ResponseLoss
from fairseq2_jest.translation.batched_search import BATCHED_BEAM_SEARCH


class ModelKind(ABC):
    """How pairs are put to models of a kind, with one tokenizer."""

    model_class: type[Any]
    """What ``RecipeContext.get_model_as`` is asked for."""

    loss: PairLoss
    """What is trained and validated by."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @abstractmethod
    def identity(self) -> dict[str, object]:
        """What a result depends on beside model and tokenizer, ready for JSON."""

    @abstractmethod
    def check_direction(self, direction: Direction) -> None:
        """
        :raises CorpusError: A language cannot be named to the model.
        """

    @abstractmethod
    def pair_reader(
        self, corpus: Corpus, *, max_seq_len: int, tag_synthetic: bool = True
    ) -> PairReader:
        """What turns rows into tokens.

        :param max_seq_len: The most tokens in a pass through the model, special ones included;
            longer pairs are left out.
        :param tag_synthetic: Whether sources that were made by a model are marked as such.
        """

    @abstractmethod
    def batcher(self, *, max_num_tokens: int) -> MicroBatcher:
        """What makes micro-batches of these tokens."""

    @abstractmethod
    def vocab_size(self, model: Module) -> int:
        """How many tokens a model knows."""

    @abstractmethod
    def longest_source(self, model: Module) -> int:
        """How many tokens of a source, or a prompt, a model can translate."""

    @abstractmethod
    def longest_pass(self, model: Module) -> int:
        """How many tokens of a pair a model takes in a sequence."""

    @abstractmethod
    def translation(
        self, direction: Direction, generator: Seq2SeqGeneratorSection
    ) -> TranslationFormat:
        """How texts are translated by :meth:`create_generator`."""

    @abstractmethod
    def create_generator(
        self, context: RecipeContext, section: Seq2SeqGeneratorSection
    ) -> AnyGenerator:
        """What searches for translations with the recipe's model.

        :raises TrainingError: There is nothing to search with.
        """

    def check_languages(self, corpus: Corpus) -> None:
        """
        :raises CorpusError: See :meth:`check_direction`.
        """
        for direction in corpus.directions:
            self.check_direction(direction)

    def check_fit(self, model: Module, name: str, max_seq_len: int) -> None:
        """
        :param name: What the model is called in messages.

        :raises TrainingError: It lacks tokens of the tokenizer, or ``max_seq_len`` is too much for
            it.
        """
        _check_sizes(
            name,
            self._tokenizer,
            max_seq_len,
            vocab_size=self.vocab_size(model),
            longest=self.longest_pass(model),
        )

    def check_translates(self, model: Module, max_source_len: int) -> None:
        """
        :raises TrainingError: The model lacks tokens of the tokenizer, or ``max_source_len`` is too
            much for it.
        """
        _check_sizes(
            "the model",
            self._tokenizer,
            max_source_len,
            vocab_size=self.vocab_size(model),
            longest=self.longest_source(model),
            field="translation.max_source_len",
        )


class EncoderDecoderKind(ModelKind):
    """NLLB, mBART: the source goes through an encoder, the target through a decoder."""

    model_class = TransformerModel

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__(tokenizer)

        self.loss = EncoderDecoderLoss()

    @override
    def identity(self) -> dict[str, object]:
        return {}

    @override
    def check_direction(self, direction: Direction) -> None:
        check_direction(direction, self._tokenizer)

    @override
    def pair_reader(
        self, corpus: Corpus, *, max_seq_len: int, tag_synthetic: bool = True
    ) -> PairReader:
        return PairTokenizer(
            corpus, self._tokenizer, max_seq_len=max_seq_len, tag_synthetic=tag_synthetic
        )

    @override
    def batcher(self, *, max_num_tokens: int) -> MicroBatcher:
        return MicroBatcher(
            self._tokenizer,
            max_num_tokens=max_num_tokens,
            pair_format=EncoderDecoderFormat(self._tokenizer),
        )

    @override
    def vocab_size(self, model: Module) -> int:
        return cast(TransformerModel, model).final_proj.output_dim

    @override
    def longest_source(self, model: Module) -> int:
        return cast(TransformerModel, model).max_source_seq_len

    @override
    def longest_pass(self, model: Module) -> int:
        transformer = cast(TransformerModel, model)

        # Targets go through the encoder, too.
        return min(transformer.max_source_seq_len, transformer.max_target_seq_len)

    @override
    def translation(
        self, direction: Direction, generator: Seq2SeqGeneratorSection
    ) -> TranslationFormat:
        return EncoderDecoderTranslation(self._tokenizer, direction)

    @override
    def create_generator(
        self, context: RecipeContext, section: Seq2SeqGeneratorSection
    ) -> AnyGenerator:
        generator = context.get_seq2seq_generator()

        ignore_prompt_scores(generator)

        return generator


class DecoderOnlyKind(ModelKind):
    """LLaMA, Mistral: a prompt and its response are one sequence."""

    model_class = CausalLM

    def __init__(self, tokenizer: Tokenizer, prompt: PromptConfig) -> None:
        """
        :raises EmbeddingError: The tokenizer is not one of a language model.
        """
        super().__init__(tokenizer)

        self._config = prompt
        self._prompt = Prompt(prompt)
        self._format = PromptFormat(tokenizer)

        self.loss = ResponseLoss()

    @override
    def identity(self) -> dict[str, object]:
        return {"prompt": asdict(self._config)}

    @override
    def check_direction(self, direction: Direction) -> None:
        self._prompt.check(direction)

    @override
    def pair_reader(
        self, corpus: Corpus, *, max_seq_len: int, tag_synthetic: bool = True
    ) -> PairReader:
        return PromptTokenizer(
            corpus,
            self._tokenizer,
            self._prompt,
            max_seq_len=max_seq_len,
            tag_synthetic=tag_synthetic,
        )

    @override
    def batcher(self, *, max_num_tokens: int) -> MicroBatcher:
        return MicroBatcher(
            self._tokenizer, max_num_tokens=max_num_tokens, pair_format=self._format
        )

    @override
    def vocab_size(self, model: Module) -> int:
        return CausalParts(cast(CausalLM, model)).vocab_size

    @override
    def longest_source(self, model: Module) -> int:
        # Prompt and response share what it takes.
        return cast(CausalLM, model).max_seq_len // 2

    @override
    def longest_pass(self, model: Module) -> int:
        return cast(CausalLM, model).max_seq_len

    @override
    def translation(
        self, direction: Direction, generator: Seq2SeqGeneratorSection
    ) -> TranslationFormat:
        config, len_penalty = generator.config, None

        if isinstance(config, BeamSearchConfig) and config.normalize_scores:
            len_penalty = config.len_penalty

        return PromptTranslation(self._tokenizer, direction, self._prompt, len_penalty=len_penalty)

    @override
    def create_generator(
        self, context: RecipeContext, section: Seq2SeqGeneratorSection
    ) -> AnyGenerator:
        if isinstance(context.get_model(), HgCausalLMAdapter):
            raise TrainingError(
                f"A model of the family {HG_FAMILY} cannot translate, since fairseq2 cannot "
                "generate with it; set validation.bleu and validation.chrf to false, or name a "
                "model of the family llama or mistral."
            )

        # It finds the same, with encoder-decoder models only.
        name = BEAM_SEARCH_GENERATOR if section.name == BATCHED_BEAM_SEARCH else section.name

        try:
            generator = context.resolver.resolve(ComponentManager).create_component(
                SequenceGenerator, name, section.config
            )
        except ComponentNotKnownError as ex:
            raise TrainingError(
                f"seq2seq_generator.name is {name}, which cannot search with a language model; set "
                f"it to {BEAM_SEARCH_GENERATOR}."
            ) from ex

        if isinstance(section.config, BeamSearchConfig):
            ignore_prompt_scores(generator)

        return generator


def create_model_kind(
    context: RecipeContext,
    section: ModelSection | ReferenceModelSection,
    tokenizer: Tokenizer,
    prompt: PromptConfig,
) -> ModelKind:
    """The kind of the model that a section names, which is not loaded.

    :raises EmbeddingError: The tokenizer is not one of the model.
    :raises TrainingError: It is neither kind.
    """
    name = model_family(context, section)

    family = context.resolver.maybe_resolve(ModelFamily, key=name)

    # What is wrong with the name, fairseq2 says when it loads the model.
    if family is None or issubclass(family.kls, TransformerModel):
        return EncoderDecoderKind(tokenizer)

    if issubclass(family.kls, CausalLM) or name == HG_FAMILY:
        return DecoderOnlyKind(tokenizer, prompt)

    raise TrainingError(
        f"Models of the family {name} are neither encoder-decoder models nor language models; name "
        "one of the family nllb, mbart, llama, mistral or hg."
    )


def model_family(context: RecipeContext, section: ModelSection | ReferenceModelSection) -> str:
    """The name of the family of the model that a section names."""
    if section.path is None and section.name is not None:
        return context.asset_store.retrieve_card(section.name).field("model_family").as_(str)

    assert section.family is not None

    return section.family


def _check_sizes(
    name: str,
    tokenizer: Tokenizer,
    max_len: int,
    *,
    vocab_size: int,
    longest: int,
    field: str = "dataset.max_seq_len",
) -> None:
    """
    :param name: What the model is called in messages.
    :param max_len: The most tokens of a sequence that it will be given.
    :param vocab_size: How many tokens it knows.
    :param longest: How many it takes in a sequence.
    :param field: The config field of ``max_len``.

    :raises TrainingError: It lacks tokens of the tokenizer, or ``max_len`` is too much for it.
    """
    size = tokenizer.vocab_info.size

    if size > vocab_size:
        raise TrainingError(
            f"The tokenizer has {size} tokens, but {name} knows {vocab_size}; name ones that "
            f"belong together."
        )

    if max_len > longest:
        raise TrainingError(
            f"{field} is {max_len}, but {name} takes at most {longest} tokens; lower it."
        )
