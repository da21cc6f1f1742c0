"""`fairseq2 mt check backtranslate`: what would be translated back, without starting."""

from __future__ import annotations

from fairseq2_jest.augmentation.language_identification import LanguageLikelihood
from fairseq2_jest.augmentation.monolingual import FileLines, prepare_monolingual
from fairseq2_jest.cache import cache_dir
from fairseq2_jest.corpus.pair import parse_direction
from fairseq2_jest.corpus.readers import BuiltinReader
from fairseq2_jest.corpus.records import Reader
from fairseq2_jest.embedding.reference import SentenceTransformerConfig, check_reference
from fairseq2_jest.recipes.backtranslate.config import BacktranslateConfig
from fairseq2_jest.recipes.backtranslate.forward import check_forward
from fairseq2_jest.recipes.backtranslate.recipe import unchecked_languages
from fairseq2_jest.recipes.translate.check import check_translator, name_of_model
from fairseq2_jest.translation.config import input_format
from fairseq2_jest.translation.source import open_source


def check(config: BacktranslateConfig) -> list[str]:
    """Reads and cleans the text, checks the languages, and returns a line about each part.

    :raises CorpusError: The text cannot be read, too many lines are rejected, or the tokenizer
        lacks a language.
    :raises TrainingError: The model does not fit the tokenizer or the length of sources.
    :raises TranslationError: The file has no such column, or the length of sources leaves no room
        for a text.
    :raises UsageError: There is no such run or model as the forward one.
    :raises EmbeddingError: The reference encoder is neither here nor can it be downloaded.
    """
    direction = parse_direction(config.direction)

    languages = [LanguageLikelihood(lang) for lang in direction]

    reader: Reader | None = None

    if config.input.builtin is not None:
        reader = BuiltinReader(config.input.builtin, direction)
    elif config.input.path is not None:
        path = config.input.path.expanduser()

        reader = FileLines(open_source(config.input, path, direction.target), config.input)

    if reader is None:
        # Whatever it holds is not for a check to take.
        lines = [f"standard input: {input_format(config.input)}"]
    else:
        lines = [prepare_monolingual(reader, config.cleaning, languages[1], cache_dir()).summary]

    lines += unchecked_languages(config, languages)

    reverse = direction.reversed()

    check_translator(config, reverse)

    lines += [f"pairs: {direction}", f"model: {name_of_model(config)}, {reverse}"]

    lines += check_forward(config)

    reference = config.reference_encoder.config

    if config.filters.min_reference_score is not None and isinstance(
        reference, SentenceTransformerConfig
    ):
        check_reference(reference)

        lines.append(f"reference: {reference.model}")

    return lines
