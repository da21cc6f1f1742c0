"""`mt embed`: what is in the store afterwards is the same however it came about."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from fairseq2_jest.cache import CACHE_DIR_VARIABLE
from tests.filling import (
    NUM_PAIRS,
    check_fill_kills,
    finish,
    make_cache,
    records,
    start_fill,
    start_ranks,
)
from tests.integration.forked import run_program


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache that one process filled; its summary is beside it."""
    cache = make_cache(tmp_path_factory.mktemp("alone") / "cache")

    finish(start_fill(cache.parent / "out", cache, "fill.sample_size=200"))

    return cache


def test_size_time_and_rate_are_told(alone: Path) -> None:
    log = (alone.parent / "out" / "logs" / "rank_0.log").read_text(encoding="utf-8")

    # 128 float16 and a checksum for each side, a score, and padding.
    assert f"The store of {NUM_PAIRS:,} pairs takes 4.3 MB, 4.3 MB of them new" in log
    assert "A sample of 160 pairs ran at " in log
    assert f"All {NUM_PAIRS:,} pairs are embedded" in log
    assert log.index("hence the fill takes about") < log.index("are embedded")

    summary = json.loads((alone.parent / "out" / "embed.json").read_text(encoding="utf-8"))

    assert summary["pairs"] == summary["pairs_missing_at_start"] == NUM_PAIRS
    assert summary["predicted_seconds"] > 0.0
    assert set(summary["folders"]) == set(records(alone))
    assert summary["bytes"] == sum(map(len, records(alone).values()))


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_fill_the_same_bytes_as_one_process(
    num_ranks: int, alone: Path, tmp_path: Path
) -> None:
    cache = make_cache(tmp_path / "cache")

    finish(*start_ranks(num_ranks, tmp_path / "out", cache, "fill.sample_size=200"))

    assert records(cache) == records(alone)


def test_two_runs_fill_one_store_at_the_same_time(alone: Path, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache")

    finish(*(start_fill(tmp_path / name, cache) for name in ("a", "b")))

    assert records(cache) == records(alone)


def test_a_killed_fill_resumes_to_the_same_bytes_at_two_points(tmp_path: Path) -> None:
    check_fill_kills(tmp_path, num_kills=2, seed=1)


def test_a_damaged_store_is_mended_by_a_second_run(alone: Path, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache")

    (cache / "embeddings").mkdir()

    for name, content in records(alone).items():
        file = cache / "embeddings" / name / "records.bin"
        file.parent.mkdir()
        file.write_bytes(content)

        with file.open("r+b") as stream:
            stream.seek(-1000, os.SEEK_END)
            stream.write(bytes(500))

    assert records(cache) != records(alone)

    finish(start_fill(tmp_path / "out", cache))

    assert records(cache) == records(alone)


def test_parts_that_were_filled_elsewhere_are_merged(alone: Path, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache")

    finish(start_fill(tmp_path / "out", cache, f"fill.merge_from=[{alone / 'embeddings'}]"))

    assert records(cache) == records(alone)

    log = (tmp_path / "out" / "logs" / "rank_0.log").read_text(encoding="utf-8")

    assert f"Copied {2 * NUM_PAIRS:,} embeddings from" in log
    assert " 0 pairs are missing." in log


def test_an_encoder_of_other_settings_has_a_store_of_its_own(alone: Path, tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache")

    for setting in ("precision=int8", "dim=64", "dim=64 reference_store.reduction=orthogonal"):
        finish(start_fill(tmp_path / setting, cache, *f"reference_store.{setting}".split()))

    assert len(records(cache)) == 9
    assert not records(cache).keys() & records(alone).keys()


def test_the_program_says_what_is_wrong_in_one_sentence(tmp_path: Path) -> None:
    cache = make_cache(tmp_path / "cache")

    def run(*overrides: str) -> tuple[int, str]:
        result = run_program(
            *("mt", "embed", "out", "--preset", "demo", "--no-rich", "--config"),
            *("dataset.train_split=valid", *overrides),
            folder=tmp_path,
            env={CACHE_DIR_VARIABLE: str(cache)},
        )

        return result.code, result.err

    code, err = run("reference_store.dim=500")

    assert code == 2
    assert "`reference_store.dim` must be less than 128" in err

    code, err = run("fill.merge_from=[nowhere]")

    assert code == 2
    assert "nowhere holds no embeddings of this corpus" in err

    code, err = run("reference_store.chunk_size=0")

    assert code == 2
    assert "`chunk_size` must be at least 1" in err


def test_check_tells_what_would_be_embedded(tmp_path: Path) -> None:
    result = run_program("mt", "check", "embed", "--preset", "demo", folder=tmp_path)

    assert result.code == 0, result.err
    assert result.out.startswith("train: 27,000 pairs, eng_Latn-deu_Latn")
