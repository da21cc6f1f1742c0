"""The way forward again of a round trip: a translation inside of a back-translation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fairseq2.recipe.config import (
    AssetsConfig,
    CommonSection,
    GangSection,
    TokenizerSection,
)
from fairseq2.runtime.dependency import DependencyResolver
from typing_extensions import override

from fairseq2_jest.cli.config import ConfigSources, load_config, with_defaults
from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.corpus.pair import parse_direction
from fairseq2_jest.recipes.backtranslate.config import BacktranslateConfig
from fairseq2_jest.recipes.nested_run import run_within
from fairseq2_jest.recipes.translate.check import check_translator, name_of_model
from fairseq2_jest.recipes.translate.config import TranslateConfig
from fairseq2_jest.recipes.translate.recipe import TranslateRecipe
from fairseq2_jest.translation.config import InputConfig
from fairseq2_jest.translation.shards import Shards

FOLDER_NAME = "round_trip"


class ForwardTranslation:
    """Translates synthetic sources in the direction of their pairs, to a folder of its own."""

    def __init__(
        self, config: BacktranslateConfig, output_dir: Path, resolver: DependencyResolver
    ) -> None:
        """
        :param output_dir: That of the back-translation.

        :raises UsageError: There is no such run as the forward model's, or no such checkpoint.
        """
        self.sources_file = output_dir / FOLDER_NAME / "sources.txt"

        self._config = forward_config(config, InputConfig(path=self.sources_file, format="text"))

        with _naming_section():
            self._config.complete(resolver)

    def __call__(self, num_lines: int) -> Shards:
        """Translates what is missing, all processes together, while they have no gang.

        :returns: The translations of all lines of the file of sources.

        :raises UsageError: There are translations of something else, or by another model.
        """
        folder = self.sources_file.parent

        run_within(TranslateRecipe(), self._config, folder)

        return Shards(
            folder / "shards",
            num_lines=num_lines,
            block_size=self._config.translation.block_size,
        )


def forward_config(config: BacktranslateConfig, source: InputConfig) -> TranslateConfig:
    """That of the translation; ``run`` is not looked into yet."""
    section, common = config.forward, config.common

    assert section is not None

    forward = TranslateConfig(
        direction=config.direction,
        input=source,
        run=section.run,
        prompt=section.prompt,
        translation=config.translation,
        seq2seq_generator=section.seq2seq_generator,
        generator=config.generator,
        gang=GangSection(timeout=config.gang.timeout),
        common=CommonSection(
            no_sweep_dir=True,
            seed=common.seed,
            torch=common.torch,
            assets=AssetsConfig(extra_paths=list(common.assets.extra_paths)),
        ),
    )

    if section.model is not None:
        forward.model = section.model
        forward.tokenizer = section.tokenizer or TokenizerSection(name=section.model.name)

    return forward


def check_forward(config: BacktranslateConfig) -> list[str]:
    """Looks at the forward model, if there is to be one, without its weights, and returns lines
    about it.

    :raises CorpusError: The tokenizer lacks a language.
    :raises TrainingError: The model does not fit the tokenizer or the length of sources.
    :raises UsageError: There is no such run or model.
    """
    if config.filters.min_round_trip_chrf is None:
        return []

    # The assets are others than those of the way back.
    recipe = _WithDefaults(forward_config(config, InputConfig()))

    with _naming_section(), load_config(recipe, ConfigSources()) as (forward, _):
        assert isinstance(forward, TranslateConfig)

        direction = parse_direction(forward.direction)

        check_translator(forward, direction)

        return [f"forward model: {name_of_model(forward)}, {direction}"]


@contextmanager
def _naming_section() -> Iterator[None]:
    """The way back has fields of the same names."""
    try:
        yield
    except UsageError as ex:
        raise UsageError(f"forward: {ex}") from ex


class _WithDefaults(TranslateRecipe):
    def __init__(self, config: TranslateConfig) -> None:
        self._config_kls = with_defaults(config)

    @property
    @override
    def config_kls(self) -> type[object]:
        return self._config_kls
