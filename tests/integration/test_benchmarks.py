"""What the benchmarks ask for is a valid config; they take too long to be run here."""

from __future__ import annotations

import pytest

from benchmarks.data_efficiency import ARMS, NUM_PRETRAIN_STEPS
from benchmarks.demo import regime
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
