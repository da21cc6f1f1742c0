from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fairseq2_jest.evaluation.comet.config import CometConfig
from fairseq2_jest.recipes.finetune.comet import open_comet
from fairseq2_jest.recipes.finetune.config import FinetuneConfig
from tests.fake_comet import write_fake


@pytest.mark.parametrize(
    ("num_ranks", "minutes", "seconds", "named"),
    [
        (2, 15, (901.0, 900.0), ["start_timeout` (901 seconds)"]),
        (2, 15, (900.0, 3600.0), ["score_timeout` (3600 seconds)"]),
        (2, 60, (3600.0, 3600.0), []),
        # Nobody waits.
        (1, 15, (3600.0, 3600.0), []),
    ],
)
def test_ranks_that_would_not_wait_for_comet_are_warned_of(
    num_ranks: int,
    minutes: int,
    seconds: tuple[float, float],
    named: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Whatever ran before in this process.
    monkeypatch.setattr(logging.getLogger("fairseq2"), "propagate", True)

    config = FinetuneConfig()

    config.gang.timeout = minutes

    # A rank that starts no COMET.
    gang = SimpleNamespace(size=num_ranks, rank=1)

    context: Any = SimpleNamespace(
        gangs=SimpleNamespace(root=gang, dp=gang), get_config_as=lambda kls: config
    )

    start, score = seconds

    comet = CometConfig(
        python=write_fake(tmp_path / "comet"), start_timeout=start, score_timeout=score
    )

    assert open_comet(comet, context) is not None

    found = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    assert len(found) == len(named)

    for message, name in zip(found, named, strict=True):
        assert f"`validation.comet.{name}" in message and "`gang.timeout` (15 minutes)" in message
