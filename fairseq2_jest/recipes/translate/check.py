"""`fairseq2 mt check translate`: what would be translated, and with what, without starting."""

from __future__ import annotations

from fairseq2.recipe.base import RecipeContext
from fairseq2.runtime.dependency import get_dependency_resolver

from fairseq2_jest.corpus.pair import Direction, parse_direction
from fairseq2_jest.recipes.model_kinds import create_model_kind
from fairseq2_jest.recipes.translate.config import TranslateConfig, TranslatorConfig
from fairseq2_jest.recipes.translate.recipe import check_translating
from fairseq2_jest.translation.config import input_format, output_format
from fairseq2_jest.translation.rendering import create_renderer
from fairseq2_jest.translation.source import open_source


def check(config: TranslateConfig) -> list[str]:
    """Reads the input, checks the languages, and returns a line about each part of the run.

    :raises TranslationError: A line of the input cannot be read, or the length of sources leaves no
        room for a text.
    :raises CorpusError: The input cannot be read, or the tokenizer lacks a language.
    :raises TrainingError: The model does not fit the tokenizer or the length of sources.
    """
    path, format_ = config.input.path, input_format(config.input)

    if path is None:
        # Whatever it holds is not for a check to take.
        lines = [f"standard input: {format_}"]
    else:
        lang = parse_direction(config.direction).source

        source = open_source(config.input, path.expanduser(), lang)

        create_renderer(config.output, output_format(config.output, format_), source)

        lines = [f"{path}: {source.survey().num_lines:,} lines, {format_}"]

    direction = parse_direction(config.direction)

    check_translator(config, direction)

    return [*lines, f"direction: {direction}", f"model: {name_of_model(config)}"]


def check_translator(config: TranslatorConfig, direction: Direction) -> None:
    """Looks at model and tokenizer, without the weights.

    :param direction: That in which the model is to translate.

    :raises CorpusError: The tokenizer lacks a language.
    :raises TrainingError: The model does not fit the tokenizer or the length of sources.
    :raises TranslationError: The length of sources leaves no room for a text.
    """
    context = RecipeContext(get_dependency_resolver())

    kind = create_model_kind(context, config.model, context.get_tokenizer(), config.prompt)

    check_translating(context, config, kind, direction)


def name_of_model(config: TranslatorConfig) -> str:
    """What the model is called in the lines of a check."""
    of_run = "" if config.run.path is None else f" of {config.run.path}"

    return f"{config.model.name or config.model.path}{of_run}"
