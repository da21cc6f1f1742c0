"""`mt select`: what is chosen is the same however it came about, and can be trained on."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.integration.forked import run_program
from tests.selecting import (
    BLOCK_SIZE,
    NUM_PAIRS,
    OVERRIDES,
    check_selection_kill,
    finish,
    log_of,
    make_data,
    result,
    start,
    start_ranks,
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def alone(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output directory of one process that was not disturbed."""
    out = tmp_path_factory.mktemp("alone") / "out"

    finish(start(out, config))

    return out


def test_the_table_tells_all_and_the_corpus_holds_the_chosen(alone: Path, config: Path) -> None:
    table = pq.read_table(alone / "scores.parquet").to_pydict()

    num_pairs = len(table["row"])

    assert table["row"] == list(range(num_pairs))
    assert len(set(table["id"])) == num_pairs

    reasons = Counter(table["reason"])

    assert reasons["too long"] == 1
    assert reasons["chosen"] == sum(table["chosen"]) == 20

    # Half of those that are scored pass, the most helpful ones.
    passed = [r in ("chosen", "passed, not drawn") for r in table["reason"]]

    means = np.array(table["mean_influence"], dtype=np.float64)

    assert sum(passed) == round(0.5 * (num_pairs - 1))
    assert np.nanmax(means[passed]) <= np.nanmin(means[~np.array(passed)])

    clusters = np.array([-1 if c is None else c for c in table["cluster"]])

    assert ((clusters >= 0) == passed).all()

    # The draw is even: who gives less has no more.
    drawn = Counter(clusters[table["chosen"]].tolist())

    for cluster, size in Counter(clusters[passed].tolist()).items():
        assert drawn[cluster] == size or drawn[cluster] >= max(drawn.values()) - 1

    selected = pq.read_table(alone / "selected.eng_Latn-deu_Latn.parquet").to_pydict()

    lines = (config.parent / "pool.tsv").read_text(encoding="utf-8").splitlines()

    assert selected["row"] == np.flatnonzero(table["chosen"]).tolist()

    for source, target, id_ in zip(
        selected["source"], selected["target"], selected["id"], strict=True
    ):
        assert f"{source}\t{target}" == lines[int(id_.partition(":")[2]) - 1]

    log = log_of(alone)

    assert re.search(r"dimensions of a gradient [\d,]+ are looked at, which leaves out \d", log)
    assert log.index("rule: min_helpful_fraction 1.0 keeps") < log.index("pairs are chosen")

    numbers = json.loads((alone / "select.json").read_text(encoding="utf-8"))

    assert numbers["chosen"] == 20 and numbers["scored"] == num_pairs - 1
    assert 0.0 < numbers["discarded_energy"] < 1.0
    assert 0.0 < numbers["raw_correlation"] < 1.0


def test_what_is_selected_can_be_trained_on(alone: Path, tmp_path: Path) -> None:
    finished = run_program(
        *("mt", "finetune", "out", "--preset", "demo-iid", "--no-rich"),
        *("--config-file", alone / "selected.yaml"),
        *("--config", "regime.num_steps=1", "batch_selector.config.batch_size=20"),
        *("common.torch.num_threads=1", "regime.validate_every_n_steps=null"),
        *("regime.score_metric=null", "regime.checkpoint_every_n_steps=null"),
        folder=tmp_path,
    )

    assert finished.code == 0, finished.err[-2000:]


def test_three_ranks_choose_the_same_as_one_process(
    alone: Path, config: Path, tmp_path: Path
) -> None:
    finish(*start_ranks(3, tmp_path / "out", config))

    assert result(tmp_path / "out") == result(alone)


@pytest.mark.parametrize(("stage", "num_ranks"), [("factors", 2), ("pool", 1), ("clusters", 1)])
def test_a_killed_selection_resumes_to_the_same_files(
    stage: str, num_ranks: int, alone: Path, config: Path, tmp_path: Path
) -> None:
    check_selection_kill(tmp_path / "out", config, result(alone), stage=stage, num_ranks=num_ranks)


def test_another_rule_scores_nothing_again_but_another_layer_is_refused(
    config: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    finish(start(out, config, "preview_only=true"))

    assert not (out / "scores.parquet").exists()

    scores = {name: data for name, data in result(out).items() if "records" in name}

    finish(start(out, config, "rule.kind=top_k", "rule.top_k=7", "diversity.num_selected=null"))

    num_blocks = -(-NUM_PAIRS // BLOCK_SIZE)

    assert f"{num_blocks} of {num_blocks} blocks of pairs are scored already" in log_of(out)
    assert sum(pq.read_table(out / "scores.parquet").to_pydict()["chosen"]) == 7
    assert scores.items() <= result(out).items()

    gradients = pq.read_table(out / "scores.parquet")

    finish(
        start(
            out,
            config,
            "diversity.features=embeddings",
            "reference_encoder={name: builtin, config: {}}",
        )
    )

    embeddings = pq.read_table(out / "scores.parquet")

    # The same pass, in other clusters.
    assert embeddings["mean_influence"] == gradients["mean_influence"]
    assert embeddings["cluster"].null_count == NUM_PAIRS - round(0.5 * (NUM_PAIRS - 1))
    assert sum(embeddings.to_pydict()["chosen"]) == 20
    assert scores.items() <= result(out).items()

    refused = start(out, config, "layers.stride=2").wait()

    assert refused.code == 2
    assert "holds scores with another layers" in refused.err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset.seed_split=train"], "seed(s) are pairs of the pool, too"),
        (["dataset.seed_split=foreign"], "in which the pool has no pair"),
        (["dataset.seed_split=empty"], "is empty; name a corpus that has at least one pair"),
        (["dataset.seed_split=nothing"], "The data set has no split 'nothing'"),
        (["warmup={num_steps: 3}"], "`warmup` must not be given where `run.path` is"),
        (["layers.stride=3"], "layers.stride is 3, but"),
        (["layers.pattern='x(?P<layer>1)'"], "matches no layer; mend it"),
        (["rule.quantile=0"], "`quantile` must be above 0"),
        (["dataset.max_seq_len=4"], "No seed fits into dataset.max_seq_len (4)"),
        (["dataset.max_seq_len=300", "dataset.max_num_tokens=300"], "takes at most 256 tokens"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    overrides: list[str], message: str, config: Path, tmp_path: Path
) -> None:
    finished = start(tmp_path / "out", config, *overrides).wait()

    assert finished.code == 2, finished.err[-2000:]
    assert message in finished.err
    assert "Traceback" not in finished.err
    assert not (tmp_path / "out" / "scores").exists()


def test_check_tells_what_would_be_scored(config: Path, tmp_path: Path) -> None:
    finished = run_program(
        *("mt", "check", "select", "--preset", "demo-gdig", "--config-file", config),
        *("--config", *OVERRIDES),
        folder=tmp_path,
    )

    assert finished.code == 0, finished.err[-2000:]
    assert "seeds: 10 seeds" in finished.out
    assert re.search(r"gradients: of \d+ layers, decoder\.layers\.\d\.ffn\.", finished.out)
    assert re.search(
        r"curvature: [\d.]+ MB on the disk .*, then [\d.]+ MB at the most with the seeds",
        finished.out,
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("layers.pattern=nothing(?P<layer>)", "matches no layer"),
        ("dataset.max_seq_len=5000", "dataset.max_seq_len is 5000, but the model takes at most"),
    ],
)
def test_check_tells_what_does_not_fit(
    config: Path, tmp_path: Path, override: str, message: str
) -> None:
    finished = run_program(
        *("mt", "check", "select", "--preset", "demo-gdig", "--config-file", config),
        *("--config", *OVERRIDES, "dataset.max_num_tokens=10000", override),
        folder=tmp_path,
    )

    assert finished.code == 2 and message in finished.err
