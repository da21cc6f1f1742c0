from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from fairseq2.device import CPU
from fairseq2.gang import FakeGang
from fairseq2.utils.progress import NOOP_PROGRESS_REPORTER

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.curvature_config import CurvatureConfig
from fairseq2_jest.influence.diversity import DiversityConfig
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.output import read_diagnosis
from fairseq2_jest.recipes.select.scoring import Candidates, PoolScoring
from fairseq2_jest.recipes.select.sections import ScoringConfig
from tests.unit.influence.dense import gradient_pass, trained_model
from tests.unit.tiny import random_pairs


def pool_scoring(
    folder: Path, config: SelectConfig, pool: TokenizedPairs, seeds: TokenizedPairs
) -> PoolScoring:
    candidates = Candidates(
        num_rows=len(pool),
        read=lambda rows: (rows, pool.take(rows.tolist())),
        seeds=seeds,
        gradients=gradient_pass(trained_model()),
    )

    return PoolScoring(
        config,
        candidates,
        "one",
        folder,
        gang=FakeGang(CPU),
        progress_reporter=NOOP_PROGRESS_REPORTER,
        on_piece=lambda: None,
    )


def test_a_disk_without_room_for_the_curvature_is_told_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = random_pairs(4)

    config = SelectConfig(curvature=CurvatureConfig(num_shards=4))

    scoring = pool_scoring(tmp_path, config, pairs, pairs)

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


@pytest.mark.parametrize("rank", [2, None])
def test_what_is_left_out_is_told_and_more_than_may_be_is_warned_of(
    rank: int | None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Whatever ran before in this process.
    monkeypatch.setattr(logging.getLogger("fairseq2"), "propagate", True)

    caplog.set_level(logging.INFO, logger="fairseq2")

    config = SelectConfig(
        curvature=CurvatureConfig(num_shards=2),
        scoring=ScoringConfig(max_discarded=0.1, rank=rank),
        diversity=DiversityConfig(projection_side=3),
    )

    scoring = pool_scoring(tmp_path, config, random_pairs(12), random_pairs(5, seed=1))

    scoring.run()

    assert scoring.store.done().all()

    told = " ".join(record.getMessage() for record in caplog.records)

    # Three FFNs, from 16 to 32 and back, with biases.
    found = re.search(
        r"of the ([\d,]+) dimensions of a gradient ([\d,]+) are looked at, which leaves out "
        r"([\d.]+)%",
        told,
    )

    assert found is not None
    assert found[1] == f"{3 * (17 * 32 + 33 * 16):,}"

    discarded = float(found[3]) / 100.0

    if rank is None:
        assert 0.05 < discarded <= 0.1
        assert not any(record.levelname == "WARNING" for record in caplog.records)
    else:
        assert found[2] == str(6 * rank**2)
        assert discarded > 0.1
        assert "more than scoring.max_discarded (10.00%), since scoring.rank is 2; raise it" in told

    diagnosis = read_diagnosis(tmp_path)

    assert diagnosis is not None
    assert diagnosis.discarded_energy == pytest.approx(discarded, abs=1e-4)
    assert diagnosis.raw_correlation is not None and 0.0 < diagnosis.raw_correlation <= 1.0
