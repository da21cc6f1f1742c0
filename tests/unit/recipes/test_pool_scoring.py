from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from fairseq2.device import CPU
from fairseq2.gang import FakeGang
from fairseq2.utils.progress import NOOP_PROGRESS_REPORTER

from fairseq2_jest.influence.curvature_config import CurvatureConfig
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.scoring import Candidates, PoolScoring
from tests.unit.influence.dense import gradient_pass, trained_model
from tests.unit.tiny import random_pairs


def test_a_disk_without_room_for_the_curvature_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = random_pairs(4)

    scoring = PoolScoring(
        SelectConfig(curvature=CurvatureConfig(num_shards=4)),
        Candidates(
            num_rows=4,
            read=lambda rows: (rows, pairs.take(rows.tolist())),
            seeds=pairs,
            gradients=gradient_pass(trained_model()),
        ),
        "one",
        tmp_path,
        gang=FakeGang(CPU),
        progress_reporter=NOOP_PROGRESS_REPORTER,
        on_piece=lambda: None,
    )

    # Enough for scores and features alone.
    free = 2 * scoring.store.num_bytes

    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))

    # The curvature of FFNs from 16 to 32 and back, four shards of the seeds' subspaces, as large as
    # its factors, and what they become.
    num_bytes = 4 * 3 * (6 * (17**2 + 32**2 + 33**2 + 16**2) + 17 * 32 + 33 * 16)

    with pytest.raises(
        InfluenceError, match=rf"Curvature, .* {num_bytes / 1000:.1f} kB at the most"
    ):
        scoring.run()

    assert not (tmp_path / "curvature").exists()
