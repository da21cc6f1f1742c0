"""The recipe of `fairseq2 mt translate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairseq2.assets import AssetCardError
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.error import NotSupportedError
from fairseq2.logging import log
from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.task import Task
from typing_extensions import override

from fairseq2_jest.cli.output import check_writable
from fairseq2_jest.corpus.pair import Direction, parse_direction
from fairseq2_jest.embedding.translation_format import TranslationFormat
from fairseq2_jest.recipes.empty_model import open_empty_model
from fairseq2_jest.recipes.manifest import claim
from fairseq2_jest.recipes.model_kinds import ModelKind, create_model_kind
from fairseq2_jest.recipes.translate.config import TranslateConfig, TranslatorConfig
from fairseq2_jest.recipes.translate.identity import identity_of
from fairseq2_jest.recipes.translate.standard_input import (
    STANDARD_INPUT_NAME,
    save_standard_input,
)
from fairseq2_jest.recipes.translate.task import TranslateTask
from fairseq2_jest.translation.config import FILE_SUFFIXES, input_format, output_format
from fairseq2_jest.translation.errors import TranslationError
from fairseq2_jest.translation.rendering import create_renderer
from fairseq2_jest.translation.shards import Shards
from fairseq2_jest.translation.source import SourceFile, open_source
from fairseq2_jest.translation.translator import Translator, check_room


class TranslateRecipe(Recipe):
    """Translates a file."""

    @override
    def create_task(self, context: RecipeContext) -> Task:
        config = context.get_config_as(TranslateConfig)

        # Done already where the config came through the command line.
        config.complete(context.resolver)

        direction = parse_direction(config.direction)

        # The input comes first: what is wrong with it is said before a model is loaded.
        with open_input(context, direction.source) as source:
            format_ = output_format(config.output, input_format(config.input))

            renderer = create_renderer(config.output, format_, source)

            survey = source.survey()

            tokenizer = context.get_tokenizer()

            kind = create_model_kind(context, config.model, tokenizer, config.prompt)

            check_translating(context, config, kind, direction)

            claim(
                context.output_dir,
                {**identity_of(config, survey, context.resolver), **kind.identity()},
                context.gangs.root,
                results="translations",
                pattern="shards/[!.]*",
            )

        output_file = _output_file(context, f"translations{FILE_SUFFIXES[format_]}", source)

        shards = Shards(
            context.output_dir / "shards",
            num_lines=survey.num_lines,
            block_size=config.translation.block_size,
        )

        missing = missing_blocks(context, shards)

        translator = None

        if missing:
            translator = create_translator(
                context, tokenizer, direction, kind, num_hypotheses=config.output.num_hypotheses
            )

        return TranslateTask(
            source,
            survey,
            shards,
            missing,
            translator,
            renderer,
            output_file,
            seed=config.common.seed,
            gangs=context.gangs,
            gang_timeout=config.gang.timeout,
            output_dir=context.output_dir,
            progress_reporter=context.progress_reporter,
            log_every_seconds=config.translation.log_every_seconds,
        )

    @property
    @override
    def config_kls(self) -> type[object]:
        return TranslateConfig


def check_translating(
    context: RecipeContext, config: TranslatorConfig, kind: ModelKind, direction: Direction
) -> None:
    """Looks at the languages, at what stands around a text and, where there are such models, at the
    model without its weights.

    :raises CorpusError: A language cannot be named to the model.
    :raises TrainingError: The model does not fit the tokenizer or the length of sources.
    :raises TranslationError: The length of sources leaves no room for a text, or the tokenizer has
        no such direction.
    """
    kind.check_direction(direction)

    max_source_len = config.translation.max_source_len

    check_room(_translation(config, kind, direction), max_source_len)

    model = open_empty_model(context, config.model)

    if model is not None:
        kind.check_translates(model, max_source_len)


def create_translator(
    context: RecipeContext,
    tokenizer: Tokenizer,
    direction: Direction,
    kind: ModelKind,
    *,
    num_hypotheses: int = 1,
) -> Translator:
    """Loads the model of the recipe's config; a collective.

    :param num_hypotheses: At most as many as the generator gives.

    :raises TrainingError: The model does not fit the tokenizer or the length of sources.
    :raises TranslationError: The checkpoint of a run is damaged, or the tokenizer lacks a language.
    """
    config = context.get_config_as(TranslatorConfig)

    try:
        model = context.get_model_as(kind.model_class)
    except AssetCardError as ex:
        if config.run.path is None:
            raise

        raise TranslationError(
            f"The checkpoint of step {config.run.checkpoint} of the run in {config.run.path} is "
            "damaged; name another in run.checkpoint, or copy it again."
        ) from ex

    kind.check_translates(model, config.translation.max_source_len)

    generator = kind.create_generator(context, config.seq2seq_generator)

    amp = config.generator

    settings = config.translation

    return Translator(
        generator,
        tokenizer,
        direction,
        device=context.device,
        max_source_len=settings.max_source_len,
        max_num_tokens=settings.max_num_tokens,
        max_batch_size=settings.max_batch_size,
        long_lines=settings.long_lines,
        num_hypotheses=num_hypotheses,
        autocast_dtype=amp.amp_dtype if amp.amp else None,
        translation=_translation(config, kind, direction),
    )


def _translation(
    config: TranslatorConfig, kind: ModelKind, direction: Direction
) -> TranslationFormat:
    try:
        return kind.translation(direction, config.seq2seq_generator)
    except NotSupportedError as ex:
        raise TranslationError(
            f"The tokenizer cannot be used for direction {direction} ({ex}); name languages that "
            "it knows."
        ) from ex


@contextmanager
def open_input(context: RecipeContext, lang: str) -> Iterator[SourceFile]:
    """The lines to translate, which are in ``lang``; a collective.

    Standard input is kept if nothing is raised inside the context; see
    :func:`save_standard_input`.

    :raises TranslationError: There are none, or the file has no such column.
    :raises CorpusError: The file cannot be read.
    """
    config = context.get_config_as(TranslatorConfig)

    if config.input.path is not None:
        yield open_source(config.input, config.input.path.expanduser(), lang)

        return

    with save_standard_input(context.output_dir, context.gangs.root) as file:
        source = open_source(config.input, file, lang, name=STANDARD_INPUT_NAME)

        yield source

    source.path = context.output_dir / STANDARD_INPUT_NAME


def _output_file(context: RecipeContext, default_name: str, source: SourceFile) -> Path:
    path = context.get_config_as(TranslateConfig).output.path

    if path is None:
        return context.output_dir / default_name

    path = path.expanduser().absolute()

    if path.is_dir():
        raise TranslationError(f"output.path is {path}, which is a folder; name a file in it.")

    if path.exists() and source.path.exists() and path.samefile(source.path):
        raise TranslationError(
            f"output.path is {path}, which is the input; name another, for it would be overwritten."
        )

    check_writable(path.parent, "The folder of output.path")

    return path


def missing_blocks(context: RecipeContext, shards: Shards) -> list[int]:
    """The blocks that are to be translated, the same on all ranks; a collective."""
    gang = context.gangs.root

    missing = shards.missing()

    if len(missing) < shards.num_blocks:
        log.info(
            "{:,} of {:,} blocks of lines are translated already.",
            shards.num_blocks - len(missing),
            shards.num_blocks,
        )

    # All have looked before one cleans, and it is clean before one writes.
    gang.barrier()

    if gang.rank == 0:
        shards.clean(missing)

    gang.barrier()

    return missing
