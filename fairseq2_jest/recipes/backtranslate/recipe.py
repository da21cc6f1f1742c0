"""The recipe of `fairseq2 mt backtranslate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fairseq2.device import META_DEVICE
from fairseq2.gang import Gang
from fairseq2.logging import log
from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.task import Task
from typing_extensions import override

from fairseq2_jest.augmentation.language_identification import LanguageLikelihood
from fairseq2_jest.augmentation.monolingual import FileLines, prepare_monolingual
from fairseq2_jest.cache import cache_dir
from fairseq2_jest.corpus.pair import Direction, parse_direction
from fairseq2_jest.corpus.readers import BuiltinReader
from fairseq2_jest.corpus.records import Reader
from fairseq2_jest.corpus.table import CorpusTable
from fairseq2_jest.recipes.backtranslate.config import BacktranslateConfig
from fairseq2_jest.recipes.backtranslate.forward import ForwardTranslation, check_forward
from fairseq2_jest.recipes.backtranslate.task import BacktranslateTask
from fairseq2_jest.recipes.manifest import claim
from fairseq2_jest.recipes.model_kinds import create_model_kind
from fairseq2_jest.recipes.nested_run import alone, free_memory
from fairseq2_jest.recipes.reading import create_reference
from fairseq2_jest.recipes.translate.identity import identity_of_translator
from fairseq2_jest.recipes.translate.recipe import (
    check_translating,
    create_translator,
    missing_blocks,
    open_input,
)
from fairseq2_jest.translation.shards import Shards


class BacktranslateRecipe(Recipe):
    """Makes synthetic pairs of monolingual target text (Sennrich et al. 2016)."""

    @override
    def create_task(self, context: RecipeContext) -> Task:
        config = context.get_config_as(BacktranslateConfig)

        # Done already where the config came through the command line.
        config.complete(context.resolver)

        forward = None

        if config.filters.min_round_trip_chrf is not None:
            forward = ForwardTranslation(config, context.output_dir, context.resolver)
        elif config.forward is not None:
            log.warning("forward is not used: filters.min_round_trip_chrf is not given.")

        direction = parse_direction(config.direction)

        languages = [LanguageLikelihood(lang) for lang in direction]

        for line in unchecked_languages(config, languages):
            log.warning("{}", line)

        # The text comes first: what is wrong with it is said before a model is loaded.
        with _open_reader(context, direction) as reader:
            prepared = prepare_monolingual(reader, config.cleaning, languages[1], cache_dir())

            tokenizer = context.get_tokenizer()

            kind = create_model_kind(context, config.model, tokenizer, config.prompt)

            reverse = direction.reversed()

            check_translating(context, config, kind, reverse)

            _check_forward(config, context.gangs.root)

            claim(
                context.output_dir,
                {
                    "text": prepared.manifest.digest,
                    **identity_of_translator(config, context.resolver),
                    **kind.identity(),
                },
                context.gangs.root,
                results="back-translations",
                pattern="shards/[!.]*",
            )

        table = CorpusTable(prepared.table)

        shards = Shards(
            context.output_dir / "shards",
            num_lines=len(table),
            block_size=config.translation.block_size,
        )

        missing = missing_blocks(context, shards)

        return BacktranslateTask(
            config,
            direction,
            prepared,
            table,
            shards,
            missing,
            create_translator(context, tokenizer, reverse, kind) if missing else None,
            lambda: create_reference(context, config.reference_encoder),
            forward,
            lambda: _release_model(context),
            languages[0],
            gangs=context.gangs,
            output_dir=context.output_dir,
            progress_reporter=context.progress_reporter,
        )

    @property
    @override
    def config_kls(self) -> type[object]:
        return BacktranslateConfig


@contextmanager
def _open_reader(context: RecipeContext, direction: Direction) -> Iterator[Reader]:
    config = context.get_config_as(BacktranslateConfig)

    if config.input.builtin is not None:
        yield BuiltinReader(config.input.builtin, direction)
    else:
        with open_input(context, direction.target) as source:
            yield FileLines(source, config.input)


def _check_forward(config: BacktranslateConfig, gang: Gang) -> None:
    """Says now what the run forward would say after the whole way back; a collective."""
    # The first process downloads what the others find then; if it raises, so will they.
    if gang.rank > 0:
        gang.barrier()

    try:
        # In a container of its own, which would make the gang anew.
        with alone():
            check_forward(config)
    finally:
        if gang.rank == 0:
            gang.barrier()


def _release_model(context: RecipeContext) -> None:
    # fairseq2 keeps the module as long as the recipe runs.
    context.get_model().to(META_DEVICE)

    free_memory()


def unchecked_languages(
    config: BacktranslateConfig, languages: list[LanguageLikelihood]
) -> list[str]:
    """A line about each language that is to be identified, but is not known."""
    limits = (config.filters.min_language_likelihood, config.cleaning.min_language_likelihood)

    return [
        f"Whether a text is in {language.lang} is not checked, since py3langid does not know it."
        for language, limit in zip(languages, limits, strict=True)
        if limit is not None and not language.is_known
    ]
