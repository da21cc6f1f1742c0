"""`mt backtranslate`: the same pairs however they came about, and a fine-tune takes them."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fairseq2_jest.embedding.builtin_reference import (
    BuiltinReferenceConfig,
    create_builtin_reference_encoder,
)
from tests.backtranslating import (
    BLOCK_SIZE,
    NUM_LINES,
    SAMPLING,
    german_lines,
    result,
    start,
    start_ranks,
)
from tests.hugging_face import library
from tests.integration.forked import run_program
from tests.translating import finish, log_of, write_lines

LINES = german_lines(NUM_LINES)

# A duplicate but for case, an empty line, another language, and one that is too long.
BAD_LINES = [LINES[0].upper(), "", "the dog sees a small cat in the old house .", " ".join(LINES)]

PAIRS = "synthetic.eng_Latn-deu_Latn.parquet"


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lines(tmp_path_factory.mktemp("text") / "mono.de", [*LINES, *BAD_LINES])


@pytest.fixture(scope="module")
def alone(run: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of one process that samples and was not disturbed."""
    out = tmp_path_factory.mktemp("alone") / "out"

    finish(start(out, run, text, *SAMPLING))

    return out


def test_every_line_becomes_a_pair_or_a_reject(alone: Path, text: Path) -> None:
    pairs = pq.read_table(alone / PAIRS).to_pydict()

    rows = [line.split("\t") for line in (alone / "rejects.tsv").read_text("utf-8").splitlines()]

    rejects = {int(line): reason for _, line, reason, _ in rows[1:]}

    lines = [*LINES, *BAD_LINES]

    assert [rejects[NUM_LINES + i] for i in (1, 2, 3, 4)] == [
        "duplicate",
        "empty line",
        "another language",
        "target too long",
    ]
    assert sorted([*pairs["line"], *rejects]) == list(range(1, len(lines) + 1))
    assert pairs["target"] == [lines[line - 1] for line in pairs["line"]]
    assert all(pairs["source"])

    # Else a wrong order would not be seen.
    assert len(set(pairs["source"])) > NUM_LINES // 2

    numbers = json.loads((alone / "backtranslate.json").read_text("utf-8"))

    assert numbers["pairs"] == len(pairs["line"])
    assert numbers["translated"] == numbers["new_lines"] == NUM_LINES
    assert Counter(numbers["rejected_lines"]) + Counter(numbers["rejected_pairs"]) == Counter(
        rejects.values()
    )


def test_ranks_draw_the_same_as_one_process(
    alone: Path, run: Path, text: Path, tmp_path: Path
) -> None:
    finish(*start_ranks(2, tmp_path / "out", run, text, *SAMPLING))

    assert result(tmp_path / "out") == result(alone)


def test_a_killed_back_translation_resumes_to_the_same_bytes(
    alone: Path, run: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    num_blocks = NUM_LINES // BLOCK_SIZE

    killed = start(out, run, text, *SAMPLING)

    wanted = random.Random(1).randrange(2, num_blocks - 2)

    while killed.process.is_alive() and len(list(out.glob("shards/[!.]*"))) < wanted:
        time.sleep(0.005)

    killed.process.kill()
    killed.wait()

    assert 0 < len(list(out.glob("shards/[!.]*"))) < num_blocks
    assert not (out / PAIRS).exists()

    finish(start(out, run, text, *SAMPLING))

    assert "blocks of lines are translated already" in log_of(out)
    assert result(out) == result(alone)


def test_other_filters_and_noise_translate_nothing_again_but_another_seed_is_refused(
    alone: Path, run: Path, text: Path
) -> None:
    before = result(alone)

    overrides = (*SAMPLING, "noise={drop_prob: 0.5, max_shift: 0}")

    finish(start(alone, run, text, *overrides))

    noised = pq.read_table(alone / PAIRS).to_pydict()

    assert f"{NUM_LINES // BLOCK_SIZE} of {NUM_LINES // BLOCK_SIZE} blocks" in log_of(alone)

    refused = start(alone, run, text, *SAMPLING, "common.seed=3").wait()

    assert refused.code == 2
    assert "holds back-translations with another seed" in refused.err

    # As it was, for other tests; nothing of it depends on what was there.
    finish(start(alone, run, text, *SAMPLING))

    assert result(alone) == before

    plain = pq.read_table(alone / PAIRS).to_pydict()

    assert noised["target"] == plain["target"]

    num_words = [sum(len(s.split()) for s in table["source"]) for table in (noised, plain)]

    assert 0.3 < num_words[0] / num_words[1] < 0.8


def test_the_reference_scores_what_the_other_filters_left(
    alone: Path, run: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    shutil.copytree(alone, out)

    pairs = pq.read_table(alone / PAIRS).to_pydict()

    reference = create_builtin_reference_encoder(library(), BuiltinReferenceConfig())

    scores = (reference.encode(pairs["source"]) * reference.encode(pairs["target"])).sum(axis=1)

    limit = float(np.median(scores)) + 1e-4

    overrides = (f"filters.min_reference_score={limit}", "reference_encoder.name=builtin")

    finish(start(out, run, text, *SAMPLING, *overrides))

    kept = pq.read_table(out / PAIRS).to_pydict()

    assert kept["line"] == [
        line for line, score in zip(pairs["line"], scores, strict=True) if score >= limit
    ]
    assert 0 < len(kept["line"]) < len(pairs["line"])

    numbers = json.loads((out / "backtranslate.json").read_text("utf-8"))

    assert numbers["rejected_pairs"]["low reference score"] == len(pairs["line"]) - len(
        kept["line"]
    )
    assert numbers["new_lines"] == 0


def test_a_fine_tune_takes_synthetic_pairs_beside_its_own(alone: Path, tmp_path: Path) -> None:
    finished = run_program(
        *("mt", "finetune", "out", "--preset", "demo-iid", "--no-rich"),
        *("--config-file", alone / "synthetic.yaml"),
        *("--config", "regime.num_steps=2", "batch_selector.config.batch_size=40"),
        *("dataset.synthetic_ratio=1.0", "common.torch.num_threads=1"),
        *("regime.validate_every_n_steps=null", "regime.publish_metrics_every_n_steps=2"),
        *("regime.score_metric=null", "regime.checkpoint_every_n_steps=null"),
        folder=tmp_path,
    )

    assert finished.code == 0, finished.err[-2000:]
    assert "Mixing synthetic to genuine pairs 1:1." in finished.err + finished.out

    (file,) = (tmp_path / "out").glob("*/metrics/train.jsonl")

    (values,) = [json.loads(line) for line in file.read_text("utf-8").splitlines()]

    assert values["num_synthetic_seen"] == values["num_seen"] // 2 == 40
    assert values["synthetic_share_selected"] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["cleaning.max_chars=3"], "`max_reject_share` is 50.0%"),
        (["filters.max_length_ratio=0.5"], "`max_length_ratio` must be at least 1"),
        (["direction=eng_Latn-de"], "did you mean 'deu_Latn'"),
        (["input.builtin={part: test}"], "`path` must not be given where `builtin` is"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    overrides: list[str], message: str, run: Path, text: Path, tmp_path: Path
) -> None:
    finished = start(tmp_path / "out", run, text, *overrides).wait()

    assert finished.code == 2, finished.err[-2000:]
    assert message in finished.err
    assert "Traceback" not in finished.err
    assert not (tmp_path / "out" / "shards").exists()


def test_check_tells_what_would_be_translated(run: Path, text: Path, tmp_path: Path) -> None:
    finished = run_program(
        *("mt", "check", "backtranslate", "--preset", "demo-backtranslate"),
        *("--config", f"run.path={run}", "input.builtin=null", f"input.path={text}"),
        folder=tmp_path,
    )

    assert finished.code == 0, finished.err[-2000:]
    assert f"of {NUM_LINES + 4} lines {NUM_LINES} kept, 4 rejected" in finished.out
    assert "pairs: eng_Latn-deu_Latn" in finished.out
    assert "deu_Latn-eng_Latn" in finished.out
