"""What the benchmarks ask for is a valid config, and their parts work; as a whole they take too
long to be run here."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fairseq2.device import CPU

from benchmarks.arms import ArmResult, ValidationPoint
from benchmarks.data_efficiency import ARMS, NUM_PRETRAIN_STEPS
from benchmarks.demo import regime
from benchmarks.efficiency import efficiency_table
from benchmarks.noise_detection.comparison import compare, verdict
from benchmarks.noise_detection.pairs import detokenised
from benchmarks.noise_detection.rules import cheap_rules
from benchmarks.noise_detection.scores import mean_rank
from benchmarks.selection_cost.bench import Bench
from benchmarks.selection_cost.shapes import SHAPES
from benchmarks.selection_cost.variants import unsorted_batches, variants
from benchmarks.transformers_peer.table import ratios, table
from benchmarks.transformers_peer.translation import share_equal, take_turns
from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from tests.integration.runs import load


@pytest.mark.parametrize(
    ("steps", "num_validations"),
    [(50, 4), (100, 1), (100, 10), (200, 5), (NUM_PRETRAIN_STEPS, 1), (7, 3), (1, 4)],
)
def test_any_number_of_steps_is_a_valid_regime(steps: int, num_validations: int) -> None:
    config = load("demo-jest", regime(steps, num_validations))

    assert config.regime.num_steps == steps
    assert config.regime.checkpoint_every_n_steps == steps


@pytest.mark.parametrize("arm", ARMS)
def test_every_arm_of_the_sweep_is_valid(arm: str) -> None:
    preset, overrides = ARMS[arm]

    config = load(preset, [*overrides, *regime(100, 10)])

    assert config.regime.num_steps == 100


def test_a_score_is_as_good_as_it_orders_and_is_compared_with_the_first() -> None:
    generator = np.random.default_rng(3)

    is_good = generator.random(400) < 0.7

    perfect = is_good.astype(np.float64)

    rows = compare(
        is_good,
        {
            "half": np.where(generator.random(400) < 0.5, perfect, 0.5),
            "perfect": perfect,
            "half, turned round": -np.where(generator.random(400) < 0.5, perfect, 0.5),
            "chance": generator.random(400),
        },
        num_resamples=100,
    )

    aucs = {row["name"]: row["auc"] for row in rows}

    assert aucs["perfect"] == 1.0
    # A tie where both scores are 0.5, a quarter of the cases; in order everywhere else.
    assert aucs["half"] == pytest.approx(0.875, abs=0.06)
    assert aucs["half, turned round"] == pytest.approx(0.125, abs=0.06)

    for row in rows:
        low, high = row["interval"]

        assert low <= row["auc"] <= high

    assert rows[1]["lead"] == pytest.approx(1.0 - aucs["half"])
    assert rows[1]["lead_interval"][0] > 0.0

    told = verdict(rows).splitlines()

    assert told[0].startswith("- Ahead of half: perfect (1.000)")
    assert "chance" in told[3]
    assert "half, turned round" in told[4]


def test_cheap_rules_tell_what_no_reference_of_words_can() -> None:
    source, target = "The house has 3 doors and a garden.", "Das Haus hat 3 Türen und einen Garten."

    for worse in (source, "Das Haus hat 4 Türen und einen Garten.", "Ja.", "### 3 +++ --- 3 ~~~"):
        assert cheap_rules(source, worse) < cheap_rules(source, target) == 6.0


def test_punctuation_is_put_back_to_its_word() -> None:
    assert detokenised("Well , it 's late ( again ) !") == "Well, it's late (again)!"


def test_a_mean_of_ranks_follows_what_the_scores_agree_on() -> None:
    ranks = mean_rank(np.array([0.1, 0.2, 0.9]), np.array([10.0, 20.0, 15.0]))

    assert ranks.tolist() == [1.0, 2.5, 2.5]


def test_unsorted_batches_keep_order_and_budget() -> None:
    lengths = [3, 9, 2, 5, 5, 12, 1]

    batches = list(unsorted_batches(lengths, 15))

    assert [index for batch in batches for index in batch] == list(range(7))

    for batch, following in pairwise([*batches, []]):
        longest = max(lengths[index] for index in batch)

        assert len(batch) == 1 or len(batch) * longest <= 15

        # One more would not have fitted.
        if following:
            assert (len(batch) + 1) * max(longest, lengths[following[0]]) > 15


def test_one_step_of_every_row_of_the_cost_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path / "cache"))

    small = SHAPES["small"]

    model = replace(
        small.model,
        model_dim=16,
        ffn_inner_dim=16,
        num_encoder_layers=4,
        num_decoder_layers=1,
        vocab_size=400,
    )

    shape = replace(small, model=model, super_batch_size=80, max_num_tokens=128, num_steps=1)

    pairs = [
        (pair.source, pair.target) for pair in generate(BuiltinConfig(part="pretrain", size=600))
    ]

    bench = Bench(shape, CPU, pairs, tmp_path)

    rows = {row["name"]: row for row in bench.measure(variants(shape, on_gpu=False))}

    full = rows["similarity, all layers"]

    for row in rows.values():
        assert 0.0 <= row["share"] < 1.0
        # Lengths are not equal, as the prediction has it, but nearly.
        assert row["counted_flops"] == pytest.approx(row["predicted_flops"], rel=0.25)

    assert rows["similarity, 1 layer"]["predicted_flops"] == full["predicted_flops"] / 4
    assert rows["iid"]["padding"] is rows["reference only"]["padding"] is None
    assert rows["similarity, all layers, unsorted batches"]["padding"] > full["padding"]


def _result(name: str, losses: list[float], *, selection: float = 0.0) -> ArmResult:
    points = [
        ValidationPoint(
            samples=1000 * (i + 1),
            loss=loss,
            bleu=10.0 - loss,
            flops=(1.0 + selection) * 100.0 * (i + 1),
            seconds=1.0,
        )
        for i, loss in enumerate(losses)
    ]

    return ArmResult(
        name=name,
        curve=points,
        samples=points[-1].samples,
        noise_share=0.5,
        known_share=None,
        seconds=1.0,
        selection_share=selection / (1.0 + selection),
        training_flops=100.0 * len(points),
        selection_flops=selection * 100.0 * len(points),
    )


def test_what_an_arm_needs_is_a_ratio_to_what_the_baseline_spent() -> None:
    results = [
        _result("iid", [4.0, 3.0]),
        _result("iid", [4.0, 2.0]),
        _result("joint, reducible", [3.0, 2.0], selection=1.0),
        _result("independent", [4.0, 3.0]),
    ]

    header, _, iid, joint, independent = (
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in efficiency_table(results).splitlines()
    )

    rows = {row[0]: dict(zip(header, row, strict=True)) for row in (iid, joint, independent)}

    # The baseline's mean end is 2.5, which the second reaches half way from 1,000 to 2,000 pairs.
    assert rows["iid"]["pairs to iid's loss"] == "1.00"
    assert rows["joint, reducible"]["pairs to iid's loss"] == "0.75"
    assert rows["joint, reducible"]["FLOPs to its loss"] == "1.50"
    # BLEU mirrors the loss here.
    assert rows["joint, reducible"]["pairs to its BLEU"] == "0.75"
    assert rows["joint, reducible"]["FLOPs to its BLEU"] == "1.50"
    assert rows["joint, reducible"]["filled"] == "2.25"
    assert rows["joint, reducible"]["time"] == "1.50"
    assert rows["independent"]["pairs to iid's loss"] == "never"
    assert rows["iid"]["loss"] == "2.500 (2.000-3.000)"


def test_ratios_are_taken_turn_by_turn() -> None:
    # The machine was half as fast in the third turn: that is no matter of the arms.
    result = ratios("training", [1.0, 1.0, 2.0], [1.5, 1.4, 2.6], note="a peer")

    assert (result["least"], result["ratio"], result["most"]) == (1.3, 1.4, 1.5)

    assert table([result]).splitlines()[-1] == "| training | **1.40** (1.30-1.50) | 3 | a peer |"


def test_arms_take_turns_at_each_portion_and_are_timed_without_warming_up() -> None:
    calls: list[tuple[str, int]] = []

    def arm(name: str, portion: int) -> list[int]:
        calls.append((name, portion))

        return [portion, portion + (name == "b" and portion == 2)]

    turns = take_turns(
        {name: partial(arm, name) for name in ("a", "b")}, [1, 2], num_turns=2, device=CPU
    )

    warm_up, timed = calls[:2], calls[2:]

    assert warm_up == [("a", 1), ("b", 1)]
    assert timed == [(name, portion) for portion in (1, 2) for _ in range(2) for name in "ab"]
    assert [len(times) for times in turns.seconds.values()] == [2, 2]
    assert turns.found == {"a": [1, 1, 2, 2], "b": [1, 1, 2, 3]}
    assert share_equal(*turns.found.values()) == 0.75
