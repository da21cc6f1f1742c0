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
from sacrebleu.metrics.chrf import CHRF

from fairseq2_jest.embedding.builtin_reference import (
    BuiltinReferenceConfig,
    create_builtin_reference_encoder,
)
from tests import translating
from tests.backtranslating import (
    BLOCK_SIZE,
    NUM_LINES,
    SAMPLING,
    german_lines,
    result,
    start,
    start_ranks,
)
from tests.hugging_face import library, make_folder
from tests.integration.forked import run_program
from tests.translating import finish, log_of, write_lines

LINES = german_lines(NUM_LINES)

# A duplicate but for case, an empty line, another language, and one that is too long.
BAD_LINES = [LINES[0].upper(), "", "the dog sees a small cat in the old house .", " ".join(LINES)]

FORWARD_SEARCH = "{config: {beam_size: 3, max_gen_len: 8}}"

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


@pytest.fixture(scope="module")
def returned(
    alone: Path, run: Path, text: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, tuple[str, ...]]:
    """An output directory with a filter for round trips, and what was said to make it."""
    out = tmp_path_factory.mktemp("returned") / "out"

    shutil.copytree(alone, out)

    overrides = (
        *SAMPLING,
        f"forward={{run: {{path: {run}}}, seq2seq_generator: {FORWARD_SEARCH}}}",
        "filters.min_round_trip_chrf=4.0",
    )

    finish(start(out, run, text, *overrides))

    return out, overrides


def test_what_is_lost_on_the_round_trip_is_rejected(
    alone: Path, returned: tuple[Path, tuple[str, ...]], run: Path, tmp_path: Path
) -> None:
    out, _ = returned

    before, kept = (pq.read_table(path / PAIRS).to_pydict() for path in (alone, out))

    # The way forward as a translation of its own.
    source = write_lines(tmp_path / "in.txt", before["source"])

    finish(
        translating.start(
            tmp_path / "forward",
            *("translation.block_size=6", "translation.max_num_tokens=200"),
            *("translation.max_source_len=96", "seq2seq_generator.config.beam_size=3"),
            *(f"run.path={run}", f"input.path={source}"),
        )
    )

    metric = CHRF(word_order=2)

    scores = [
        metric.sentence_score(translation, [target]).score
        for translation, target in zip(
            translating.output(tmp_path / "forward"), before["target"], strict=True
        )
    ]

    expected = [line for line, score in zip(before["line"], scores, strict=True) if score >= 4.0]

    assert kept["line"] == expected
    assert 0 < len(expected) < len(before["line"])

    numbers = json.loads((out / "backtranslate.json").read_text("utf-8"))

    num_lost = len(before["line"]) - len(expected)

    assert numbers["rejected_pairs"]["lost on the round trip"] == num_lost
    assert numbers["new_lines"] == 0

    rejects = (out / "rejects.tsv").read_text("utf-8")

    assert rejects.count("\tlost on the round trip\t") == num_lost


def test_a_round_trip_resumes_on_any_number_of_ranks(
    returned: tuple[Path, tuple[str, ...]], run: Path, text: Path, tmp_path: Path
) -> None:
    whole, overrides = returned

    out = tmp_path / "out"

    shutil.copytree(whole, out)

    # As a kill on either way leaves it.
    for file in (out / "shards" / "00000003.jsonl", *out.glob("round_trip/shards/*[13579].jsonl")):
        file.unlink()

    (out / PAIRS).unlink()

    finish(*start_ranks(2, out, run, text, *overrides))

    assert "5 of 10 blocks of lines are translated already" in log_of(out / "round_trip")
    assert result(out) == result(whole)
    assert translating.shards(out / "round_trip") == translating.shards(whole / "round_trip")


def test_round_trips_by_two_models_are_never_mixed(
    returned: tuple[Path, tuple[str, ...]], run: Path, text: Path, tmp_path: Path
) -> None:
    whole, overrides = returned

    out = tmp_path / "out"

    shutil.copytree(whole, out)

    refused = start(out, run, text, *overrides, "forward.run.checkpoint=2").wait()

    assert refused.code == 2, refused.err[-2000:]
    assert "round_trip holds translations with another model.name" in refused.err
    assert "Traceback" not in refused.err
    assert result(out) == result(whole)


def test_a_forward_model_that_nobody_asks_for_is_told(
    alone: Path, run: Path, text: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    shutil.copytree(alone, out)

    finish(start(out, run, text, *SAMPLING, f"forward.run.path={run}"))

    assert "forward is not used: filters.min_round_trip_chrf is not given." in log_of(out)
    assert result(out) == result(alone)
    assert not (out / "round_trip").exists()


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
        (["filters.min_round_trip_chrf=30"], "`forward` must name a model where `filters.min_r"),
        (["filters.min_round_trip_chrf=101"], "`min_round_trip_chrf` must be in [0, 100]"),
        (["forward={}"], "Either `run.path` or `model` must be given"),
        (
            ["filters.min_round_trip_chrf=30", "forward={run: {path: nowhere}}"],
            "forward: run.path must be the output directory of a run of mt finetune",
        ),
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
        *("filters.min_round_trip_chrf=30", f"forward.run.path={run}"),
        folder=tmp_path,
    )

    assert finished.code == 0, finished.err[-2000:]
    assert f"forward model: checkpoint_step_1 of {run}, eng_Latn-deu_Latn" in finished.out
    assert f"of {NUM_LINES + 4} lines {NUM_LINES} kept, 4 rejected" in finished.out
    assert "pairs: eng_Latn-deu_Latn" in finished.out
    assert "deu_Latn-eng_Latn" in finished.out


@pytest.mark.parametrize("fits", [True, False])
def test_check_looks_at_a_forward_model_by_its_folder(
    fits: bool, run: Path, text: Path, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "nllb", "nllb", max_position_embeddings=128 if fits else 64)

    finished = run_program(
        *("mt", "check", "backtranslate", "--preset", "demo-backtranslate"),
        *("--config", f"run.path={run}", "input.builtin=null", f"input.path={text}"),
        *("filters.min_round_trip_chrf=30", f"forward.model.name={folder}"),
        folder=tmp_path,
    )

    if fits:
        assert finished.code == 0, finished.err[-2000:]
        assert f"forward model: {folder}, eng_Latn-deu_Latn" in finished.out
    else:
        assert finished.code == 2
        message = "translation.max_source_len is 96, but the model takes at most 64"

        assert message in finished.err
        assert "Traceback" not in finished.err

        # Nor does a run translate back first.
        overrides = ("filters.min_round_trip_chrf=30", f"forward.model.name={folder}")

        out = tmp_path / "out"

        refused = start(out, run, text, *overrides).wait()

        assert refused.code == 2 and message in refused.err, refused.err[-2000:]
        assert not (out / "shards").exists() and not (out / "manifest.json").exists()
