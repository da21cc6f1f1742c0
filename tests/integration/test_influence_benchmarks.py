"""What the benchmarks of influence are made of; as a whole they take too long to be run here."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from fairseq2.device import CPU
from torch import Tensor

from benchmarks import DIRECTION
from benchmarks.arms import ArmResult, ValidationPoint
from benchmarks.demo import regime
from benchmarks.influence import gdig, planted_noise, retraining
from benchmarks.influence.choosing import at_random, clean_at_random, everything
from benchmarks.influence.gdig import ARMS, LEADING
from benchmarks.influence.lab import Lab, Setting
from benchmarks.influence.pools import Pool
from fairseq2_jest.corpus.builtin import BuiltinConfig
from fairseq2_jest.corpus.config import CorpusConfig, ParallelTextConfig
from fairseq2_jest.corpus.dataset import open_parallel_text
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.gradients import GradientPass, Reduction
from fairseq2_jest.influence.layers import LayersConfig, find_layers
from fairseq2_jest.influence.model import PairModel
from tests.integration.runs import load
from tests.unit.influence.dense import by_pair
from tests.unit.tiny import model, random_pairs, tokenizer


def lab(scratch: Path, pairs: TokenizedPairs, seeds: TokenizedPairs) -> Lab:
    return Lab(
        model(),
        tokenizer(),
        pool=lambda rows: (rows, pairs.take(rows.tolist())),
        num_pool_pairs=len(pairs),
        pairs=pairs,
        seeds=seeds,
        scratch=scratch,
    )


def whole_gradients(
    pairs: TokenizedPairs, reduction: Reduction, layers: str = ""
) -> list[dict[str, Tensor]]:
    learner = model()

    wrapped = PairModel(learner, tokenizer(), device=CPU, max_num_tokens=2048)

    run = GradientPass(wrapped, find_layers(learner, LayersConfig(stride=1)), device=CPU)

    batches = list(run.run(pairs, list(range(len(pairs))), reduction=reduction))

    return [
        {name: gradient for name, gradient in whole.items() if layers in name}
        for whole in by_pair(batches, len(pairs))
    ]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("layers", ["", "decoder"])
def test_without_curvature_influence_is_the_dot_product_with_the_mean_seed(
    reduction: Reduction, layers: str, tmp_path: Path
) -> None:
    pairs, seeds = random_pairs(12, seed=1, max_len=9), random_pairs(9, seed=2, max_len=9)

    setting = Setting(method="none", reduction=reduction, layers=layers, num_seeds=7)

    found = lab(tmp_path, pairs, seeds).influence(setting)

    seed_gradients = whole_gradients(seeds, reduction, layers)[:7]

    expected = [
        -sum(
            float((gradient * torch.stack([s[name] for s in seed_gradients]).mean(0)).sum())
            for name, gradient in own.items()
        )
        for own in whole_gradients(pairs, reduction, layers)
    ]

    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", ["kfac", "ekfac"])
def test_the_mean_of_all_seeds_is_what_they_come_to_one_by_one(
    method: Literal["kfac", "ekfac"], tmp_path: Path
) -> None:
    laboratory = lab(
        tmp_path, random_pairs(30, seed=1, max_len=9), random_pairs(6, seed=2, max_len=9)
    )

    setting = Setting(
        method=method,
        damping=DampingConfig(kind="relative", value=1.0),
        num_seeds=5,
    )

    each = laboratory.influence(replace(setting, each_seed=True))

    assert each.shape == (30, 5)

    mean = laboratory.influence(setting)

    np.testing.assert_allclose(
        mean[:, 0], each.mean(axis=1), rtol=1e-3, atol=1e-4 * float(np.abs(mean).max())
    )


def test_the_norm_of_a_pairs_gradient_is_that_of_all_layers(tmp_path: Path) -> None:
    pairs = random_pairs(8, seed=3, max_len=9)

    norms = lab(tmp_path, pairs, random_pairs(2, seed=4, max_len=9)).gradient_norms

    expected = [
        sum(float(gradient.square().sum()) for gradient in own.values()) ** 0.5
        for own in whole_gradients(pairs, "mean")
    ]

    np.testing.assert_allclose(norms, expected, rtol=1e-3)


def test_each_kind_of_noise_is_judged_against_clean_pairs_alone() -> None:
    labels = ["clean", "clean", "scrambled", "truncated", "truncated"]

    row = planted_noise.judge("score", np.array([2.0, 4.0, 1.0, 3.0, 5.0]), labels, 1.5)

    assert row.by_kind == {"scrambled": 1.0, "truncated": 0.25}
    assert row.auc == pytest.approx(3 / 6)

    result = planted_noise.ModelResult(model="as it is", num_clean=2, num_noise=3, rows=[row])

    assert "| score | 0.500 | 1.000 | 0.250 |" in planted_noise.table(result)


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    row = planted_noise.Row(name="score", auc=0.5, by_kind={"scrambled": 1.0}, seconds=2.0)

    result = planted_noise.ModelResult(model="as it is", num_clean=2, num_noise=3, rows=[row])

    result.save(tmp_path / "results" / "a.json")

    assert planted_noise.ModelResult.load(tmp_path / "results" / "a.json") == result


def test_what_is_foretold_agrees_by_sign_and_by_rank() -> None:
    told = retraining.agreement([1.0, 2.0, -3.0, 4.0], [0.1, 0.4, -0.2, -0.1])

    assert told["right_signs"] == 0.75
    assert told["spearman"] == pytest.approx(0.4)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    folder = tmp_path_factory.mktemp("pool")

    config = CorpusConfig(
        split="pool",
        direction=DIRECTION,
        format="builtin",
        builtin=BuiltinConfig(size=200, noise_share=0.5),
    )

    data = open_parallel_text(ParallelTextConfig(corpora=[config], cache_dir=folder))

    return Pool(
        corpus=data.open("pool"),
        out=folder,
        model=folder / "model",
        warm_up=folder / "run",
        reference=folder / "reference",
        dataset={},
        max_seq_len=96,
        valid={"split": "valid"},
        sections={"tokenizer": {"name": "mine"}, "dataset": {"family": "parallel_text"}},
    )


def test_a_choice_by_lot_depends_on_its_seed_and_can_be_of_clean_pairs(pool: Pool) -> None:
    drawn = at_random(pool, 50, 1)

    assert len(set(drawn.tolist())) == 50
    assert (drawn == at_random(pool, 50, 1)).all()
    assert (drawn != at_random(pool, 50, 2)).any()

    assert {"clean"} < set(pool.corpus.labels(drawn))
    assert set(pool.corpus.labels(clean_at_random(pool, 50, 1))) == {"clean"}

    assert len(everything(pool, 50, 1)) == len(pool.corpus)


def test_a_fine_tune_on_a_choice_keeps_what_the_pool_sets(pool: Pool, tmp_path: Path) -> None:
    file = pool.write_config(tmp_path / "chosen" / "a.yaml", {"split": "train"})

    assert json.loads(file.read_text(encoding="utf-8")) == {
        "tokenizer": {"name": "mine"},
        "dataset": {
            "family": "parallel_text",
            "config_overrides": {"corpora": [{"split": "train"}, {"split": "valid"}]},
        },
    }


def test_every_arm_trains_by_a_valid_config() -> None:
    assert set(LEADING) <= set(ARMS)

    for preset, overrides in {(arm.preset, arm.overrides) for arm in ARMS.values()}:
        assert load(preset, [*overrides, *regime(50, 2)]).regime.num_steps == 50


def test_results_are_told_by_the_number_of_pairs_chosen(
    tmp_path: Path,
) -> None:
    for size, loss in ((2_000, 2.5), (500, 3.5)):
        point = ValidationPoint(samples=5_000, loss=loss, bleu=10.0, flops=1.0, seconds=1.0)

        ArmResult(
            name="G-DIG",
            curve=[point],
            samples=5_000,
            noise_share=0.1,
            known_share=None,
            seconds=30.0,
            selection_share=0.0,
            training_flops=1.0,
            selection_flops=0.0,
        ).save(tmp_path / f"k-{size}" / "G-DIG-50-1.json")

    gdig.tell(tmp_path, 50)

    text = (tmp_path / "table-50.md").read_text(encoding="utf-8")

    assert text.index("k = 500") < text.index("3.500") < text.index("k = 2,000")
    assert text.index("k = 2,000") < text.index("2.500")
