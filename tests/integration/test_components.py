"""The batch selectors of the package and of others, named in a config."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

import pytest
import torch
from fairseq2.recipe.component import register_component
from fairseq2.recipe.run import run
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver
from torch import Generator
from typing_extensions import override

from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.cli.presets import find_preset
from fairseq2_jest.recipes.finetune.recipe import FinetuneRecipe
from fairseq2_jest.selection.selector import BatchSelector, Selection, SuperBatch
from tests.integration.forked import run_program
from tests.integration.runs import TINY, chosen

STEPS = 3

COMMON = (*(o for o in TINY if not o.startswith("batch_selector")), f"regime.num_steps={STEPS}")

YAML = """
batch_selector:
  name: every_nth
  config: {n: 5}
"""


@dataclass(frozen=True, kw_only=True)
class EveryNthConfig:
    n: int = 2


class EveryNthSelector(BatchSelector):
    """Somebody else's: it looks at nothing but places."""

    def __init__(self, config: EveryNthConfig) -> None:
        self._n = config.n

    @property
    @override
    def super_batch_size(self) -> int:
        return 60

    @property
    @override
    def sub_batch_size(self) -> int:
        return 60 // self._n

    @override
    def select(self, super_batch: SuperBatch, generator: Generator) -> Selection:
        return Selection(indices=torch.arange(0, super_batch.num_rows, self._n))


def create_every_nth(resolver: DependencyResolver, config: EveryNthConfig) -> BatchSelector:
    return EveryNthSelector(config)


def setup_extension(container: DependencyContainer) -> None:
    register_component(container, BatchSelector, "every_nth", EveryNthConfig, create_every_nth)


class RecipeWithSelector(FinetuneRecipe):
    @override
    def register(self, container: DependencyContainer) -> None:
        super().register(container)

        setup_extension(container)


def finetune(out: Path, recipe: FinetuneRecipe, *overrides: str, file: Path | None = None) -> None:
    preset = find_preset("finetune", "demo-jest").file

    sources = ConfigSources(
        preset=preset, files=[file] if file else [], overrides=[[*COMMON, *overrides]]
    )

    with load_config(recipe, sources) as (config, _):
        pass

    run(recipe, config, out, no_rich=True, no_progress=True)


def rows(out: Path) -> list[list[int]]:
    log = chosen(out)

    assert [line["step"] for line in log] == list(range(1, STEPS + 1))

    return [cast("list[int]", line["rows"]) for line in log]


@pytest.fixture(scope="module")
def super_batches(tmp_path_factory: pytest.TempPathFactory) -> list[list[int]]:
    """What there is to choose from at each step, as ``iid`` trains on all of it."""
    out = tmp_path_factory.mktemp("iid")

    finetune(
        out, FinetuneRecipe(), "batch_selector.name=iid", "batch_selector.config.batch_size=60"
    )

    return rows(out)


def test_iid_trains_on_every_pair_that_is_read(super_batches: list[list[int]]) -> None:
    assert [len(set(batch)) for batch in super_batches] == [60] * STEPS


def test_independent_chooses_its_share_of_each_super_batch(
    super_batches: list[list[int]], tmp_path: Path
) -> None:
    finetune(
        tmp_path,
        FinetuneRecipe(),
        "batch_selector.name=independent",
        "batch_selector.config.super_batch_size=60",
        "batch_selector.config.filter_ratio=0.8",
    )

    for sub_batch, super_batch in zip(rows(tmp_path), super_batches, strict=True):
        assert len(set(sub_batch)) == 12
        assert set(sub_batch) < set(super_batch)


def test_a_selector_that_a_recipe_registers_chooses_the_batch(
    super_batches: list[list[int]], tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"

    file.write_text(YAML)

    finetune(tmp_path / "out", RecipeWithSelector(), file=file)

    assert rows(tmp_path / "out") == [batch[::5] for batch in super_batches]


def test_a_selector_that_an_extension_registers_is_there_for_the_program(
    super_batches: list[list[int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = EntryPoint("theirs", f"{__name__}:setup_extension", "fairseq2.extension")

    installed = entry_points(group="fairseq2.extension")

    monkeypatch.setattr(
        "fairseq2.composition.extensions.entry_points", lambda group: [*installed, theirs]
    )

    (tmp_path / "mine.yaml").write_text(YAML)

    args = ("--preset", "demo-jest", "--config-file", "mine.yaml", "--config", *COMMON)

    checked = run_program("mt", "check", *args, folder=tmp_path)

    assert checked.out.splitlines()[-1] == "every_nth: trains on 12 of each 60 pairs"

    ran = run_program("mt", "finetune", "out", *args, folder=tmp_path)

    assert ran.code == 0, ran.err[-2000:]
    assert rows(tmp_path / "out") == [batch[::5] for batch in super_batches]
