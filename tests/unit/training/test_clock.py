from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from fairseq2_jest.training import clock as clock_module
from fairseq2_jest.training.clock import StepClock


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time, in ``now.seconds``; set it to let it pass."""
    state = SimpleNamespace(seconds=100.0)

    monkeypatch.setattr(clock_module, "time", SimpleNamespace(perf_counter=lambda: state.seconds))

    return state


@pytest.fixture
def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)


def test_it_runs_from_reading_to_the_optimizers_step(
    now: SimpleNamespace, optimizer: torch.optim.Optimizer
) -> None:
    clock = StepClock()
    clock.attach(optimizer)

    assert clock.last_step == 0.0

    clock.start()
    now.seconds += 2.0
    optimizer.step()
    # A validation, or a checkpoint.
    now.seconds += 50.0

    assert clock.last_step == 2.0

    clock.start()
    now.seconds += 0.5

    assert clock.last_step == 2.0

    optimizer.step()

    assert clock.last_step == 0.5


def test_an_attempt_without_a_step_of_the_optimizer_is_not_counted(
    now: SimpleNamespace, optimizer: torch.optim.Optimizer
) -> None:
    clock = StepClock()
    clock.attach(optimizer)

    clock.start()
    now.seconds += 1.0
    optimizer.step()

    # It overflows.
    clock.start()
    now.seconds += 9.0

    clock.start()

    assert clock.last_step == 1.0

    now.seconds += 3.0
    optimizer.step()

    assert clock.last_step == 3.0


def test_a_step_of_the_optimizer_without_a_start_is_not_counted(
    now: SimpleNamespace, optimizer: torch.optim.Optimizer
) -> None:
    clock = StepClock()
    clock.attach(optimizer)

    optimizer.step()
    clock.start()
    now.seconds += 1.0
    optimizer.step()
    now.seconds += 7.0
    optimizer.step()

    assert clock.last_step == 1.0
