from __future__ import annotations

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from fairseq2.trainer import Trainer
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.training.early_stopping import (
    EarlyStoppingConfig,
    PatienceEarlyStopper,
    set_early_stopper,
)
from fairseq2_jest.training.errors import TrainingError


def stops(
    stopper: PatienceEarlyStopper, scores: list[float], *, first_step: int = 10
) -> list[bool]:
    """What is answered to validations every ten steps."""
    return [
        stopper.should_stop(first_step + 10 * number, score) for number, score in enumerate(scores)
    ]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "early_stopping.json"


def test_it_stops_after_as_many_validations_without_a_better_score(file: Path) -> None:
    stopper = PatienceEarlyStopper(3, 0.0, file)

    assert stops(stopper, [1.0, 0.5, 0.9, 0.8]) == [False, False, False, True]


def test_a_better_score_starts_the_count_again(file: Path) -> None:
    stopper = PatienceEarlyStopper(2, 0.0, file)

    assert stops(stopper, [1.0, 0.5, 2.0, 1.9, 1.95]) == [False, False, False, False, True]


def test_a_run_that_ended_is_known_by_its_step(file: Path) -> None:
    stops(PatienceEarlyStopper(2, 0.0, file), [1.0, 0.5, 0.9])

    again = PatienceEarlyStopper(2, 0.0, file)

    assert again.has_stopped(30)
    # A checkpoint from before, and more patience.
    assert not again.has_stopped(20)
    assert not PatienceEarlyStopper(3, 0.0, file).has_stopped(30)


def test_a_run_without_a_history_has_not_ended(file: Path) -> None:
    assert not PatienceEarlyStopper(1, 0.0, file).has_stopped(10)


def test_an_equal_score_is_no_better(file: Path) -> None:
    assert stops(PatienceEarlyStopper(1, 0.0, file), [1.0, 1.0]) == [False, True]


def test_the_first_score_counts_however_low(file: Path) -> None:
    stopper = PatienceEarlyStopper(1, 0.0, file)

    # A loss is handed over with its sign turned.
    assert stops(stopper, [-7.0, -6.0, -6.5]) == [False, False, True]


def test_small_gains_do_not_count_and_do_not_add_up(file: Path) -> None:
    stopper = PatienceEarlyStopper(3, 0.5, file)

    assert stops(stopper, [1.0, 1.4, 1.5, 1.6]) == [False, False, False, False]
    # 1.6 was better than 1.0 by more than 0.5, hence is what is to be beaten now.
    assert stops(stopper, [2.0, 2.05, 2.1], first_step=50) == [False, False, True]


def test_a_score_that_is_not_a_number_is_no_better(file: Path) -> None:
    stopper = PatienceEarlyStopper(2, 0.0, file)

    assert stops(stopper, [1.0, math.nan, math.nan]) == [False, False, True]
    assert PatienceEarlyStopper(2, 0.0, file).should_stop(40, 2.0) is False


def test_patience_survives_a_kill(file: Path) -> None:
    assert stops(PatienceEarlyStopper(2, 0.0, file), [1.0, 0.5]) == [False, False]

    assert PatienceEarlyStopper(2, 0.0, file).should_stop(30, 0.9) is True


def test_what_lies_behind_the_point_of_resuming_is_forgotten(file: Path) -> None:
    stopper = PatienceEarlyStopper(2, 0.0, file)

    assert stops(stopper, [5.0, 6.0, 1.0]) == [False, False, False]

    # Resumed from step 10: the scores of steps 20 and 30 belong to a future that did not come to
    # be, and with the latter still there the first of these would end the run.
    resumed = PatienceEarlyStopper(2, 0.0, file)

    assert stops(resumed, [4.0, 7.0, 3.0], first_step=20) == [False, False, False]
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "10": 5.0,
        "20": 4.0,
        "30": 7.0,
        "40": 3.0,
    }


def test_the_same_validation_done_again_counts_once(file: Path) -> None:
    for _ in range(5):
        stopper = PatienceEarlyStopper(2, 0.0, file)

        assert stops(stopper, [1.0, 0.5]) == [False, False]


@given(
    scores=st.lists(st.integers(0, 5).map(float), min_size=1, max_size=12),
    patience=st.integers(1, 4),
    kept=st.integers(0, 12),
)
@settings(deadline=None, max_examples=50)
def test_a_run_that_is_killed_and_resumed_stops_where_it_would_have(
    scores: list[float], patience: int, kept: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("stop")

    undisturbed = stops(PatienceEarlyStopper(patience, 0.0, folder / "a.json"), scores)

    stops(PatienceEarlyStopper(patience, 0.0, folder / "b.json"), scores)

    resumed = PatienceEarlyStopper(patience, 0.0, folder / "b.json")

    assert stops(resumed, scores[kept:], first_step=10 + 10 * kept) == undisturbed[kept:]


@pytest.mark.parametrize(
    "content",
    [b"", b'{"10": 1.0', b"[1.0]", b'{"ten": 1.0}', b'{"10": null}', b"\xff", b"[" * 100_000],
    ids=range(7),
)
def test_a_damaged_history_is_told_before_training(content: bytes, file: Path) -> None:
    file.write_bytes(content)

    sentence = re.escape(f"{file} is damaged; restore it, or delete it")

    with pytest.raises(TrainingError, match=sentence):
        PatienceEarlyStopper(2, 0.0, file)

    assert file.read_bytes() == content


def test_a_history_that_cannot_be_read_is_told(file: Path) -> None:
    file.mkdir()

    with pytest.raises(TrainingError, match=r"cannot be read \(Is a directory\)"):
        PatienceEarlyStopper(2, 0.0, file)


def test_nothing_but_the_history_is_left_behind(file: Path) -> None:
    stops(PatienceEarlyStopper(2, 0.0, file), [1.0, 0.5])

    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_the_trainer_is_given_it(file: Path) -> None:
    trainer, stopper = SimpleNamespace(_early_stopper=None), PatienceEarlyStopper(1, 0.0, file)

    # If fairseq2 renames the attribute, ours would be looked at by nobody.
    assert "_early_stopper" in Trainer.__init__.__code__.co_names

    set_early_stopper(cast(Trainer, trainer), stopper)

    assert trainer._early_stopper is stopper


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (EarlyStoppingConfig(patience=0), "`patience` must be at least 1, but is 0"),
        (EarlyStoppingConfig(min_improvement=-0.1), "`min_improvement` must be at least 0"),
        (EarlyStoppingConfig(min_improvement=math.nan), "`min_improvement` .* is nan"),
        (EarlyStoppingConfig(min_improvement=math.inf), "`min_improvement` .* is inf"),
    ],
)
def test_configs_name_the_field_that_is_wrong(config: EarlyStoppingConfig, message: str) -> None:
    (error,) = config.validate().errors

    assert re.search(message, str(error))


def test_no_patience_and_some_patience_are_fine() -> None:
    assert not EarlyStoppingConfig().validate().has_error()
    assert not EarlyStoppingConfig(patience=1, min_improvement=0.5).validate().has_error()
