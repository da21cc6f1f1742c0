"""A recipe that writes its config and ends, with every kind of section a command has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.recipe.component import register_component
from fairseq2.recipe.config import (
    CommonSection,
    DatasetSection,
    GangSection,
    Seq2SeqGeneratorSection,
    SupportsStructure,
    TokenizerSection,
    structure_component_config,
)
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver
from fairseq2.task import Task
from typing_extensions import override

from fairseq2_jest.corpus.errors import CorpusError


class Shape:
    """What the registered components of this recipe are."""


@dataclass(frozen=True, kw_only=True)
class CircleConfig:
    radius: float = 1.0
    filled: bool = False


@dataclass(frozen=True, kw_only=True)
class SquareConfig:
    side: int = 2
    corner: Literal["sharp", "round"] = "sharp"


@dataclass(kw_only=True)
class ShapeSection(SupportsStructure):
    name: str = "circle"
    config: object = field(default_factory=CircleConfig)

    @override
    def structure(self, resolver: DependencyResolver) -> None:
        self.config = structure_component_config(resolver, Shape, self.name, self.config)


@dataclass(kw_only=True)
class TinyConfig:
    dataset: DatasetSection = field(default_factory=lambda: DatasetSection(family="parallel_text"))
    tokenizer: TokenizerSection = field(default_factory=lambda: TokenizerSection(name="nllb-200"))
    shape: ShapeSection = field(default_factory=ShapeSection)
    seq2seq_generator: Seq2SeqGeneratorSection = field(default_factory=Seq2SeqGeneratorSection)
    gang: GangSection = field(default_factory=GangSection)
    common: CommonSection = field(default_factory=CommonSection)
    steps: int = 10
    limit: float | None = None
    languages: Sequence[str] = ("eng_Latn",)
    weights: dict[str, float] = field(default_factory=dict)
    output: Path | None = None
    fail: bool = False


class TinyTask(Task):
    def __init__(self, config: TinyConfig, output_dir: Path) -> None:
        self._config = config
        self._output_dir = output_dir

    @override
    def run(self) -> None:
        if self._config.fail:
            raise CorpusError("corpus.de, line 3: {braces} and an empty side; drop the line.")

        shape = self._config.shape

        self._output_dir.joinpath("out.json").write_text(
            json.dumps({"steps": self._config.steps, "shape": shape.name, "c": repr(shape.config)})
        )

    @override
    def request_stop(self) -> None:
        raise NotImplementedError

    @override
    def close(self) -> None:
        pass

    @property
    @override
    def step_nr(self) -> int:
        return 0


class TinyRecipe(Recipe):
    @override
    def register(self, container: DependencyContainer) -> None:
        register_component(container, Shape, "circle", CircleConfig, lambda r, c: Shape())
        register_component(container, Shape, "square", SquareConfig, lambda r, c: Shape())

    @override
    def create_task(self, context: RecipeContext) -> Task:
        return TinyTask(context.get_config_as(TinyConfig), context.output_dir)

    @property
    @override
    def config_kls(self) -> type[object]:
        return TinyConfig


def check(config: TinyConfig) -> Iterator[str]:
    if config.fail:
        raise CorpusError("corpus.de is empty; give another file.")

    yield f"{config.steps} steps"
