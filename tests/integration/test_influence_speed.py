"""What the comparison of influence with its peers is made of; the peers are not installed here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pytest
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import CPU
from torch.nn import Module

from benchmarks import ROOT
from benchmarks.influence.built_in import BuiltIn
from benchmarks.influence.speed.__main__ import Bench, main
from benchmarks.influence.speed.handover import hand_over
from benchmarks.influence.speed.kronfluence_side import counted_positions
from benchmarks.influence.speed.measuring import Measured, measure, scores_file
from benchmarks.influence.speed.sides import (
    BERGSON,
    KRONFLUENCE,
    MAX_NUM_TOKENS,
    OURS,
    OURS_WHOLE,
    SHAPES,
    Job,
    Shape,
)
from benchmarks.influence.speed.table import table
from benchmarks.influence.speed.workload import Workload, create_model, tracked_layers
from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.embedding.pair_format import EncoderDecoderFormat
from fairseq2_jest.embedding.prompting import PromptFormat
from fairseq2_jest.influence.gradients import GradientPass
from fairseq2_jest.influence.model import PairModel
from tests.unit.influence.dense import by_pair
from tests.unit.language_models import language_tokenizer
from tests.unit.tiny import random_pairs, tokenizer

JOB = Job(shape="llama", num_pairs=0, num_seeds=2, damping=0.5)


def small_shape(kind: Literal["nllb", "llama"]) -> Shape:
    return Shape(kind=kind, model_dim=16, ffn_inner_dim=24, num_layers=2, stride=2)


def tokenizer_of(size: Shape) -> Tokenizer:
    return tokenizer() if size.kind == "nllb" else language_tokenizer()


def pair_model(learner: Module, size: Shape) -> PairModel:
    return PairModel(learner, tokenizer_of(size), device=CPU, max_num_tokens=MAX_NUM_TOKENS)


def test_rates_are_compared_at_each_size_of_the_pool() -> None:
    def run(side: str, pairs: int, seconds: float, **found: float) -> Mapping[str, object]:
        return {
            "side": side,
            "pairs": pairs,
            "curvature_seconds": 1.0,
            "scoring_seconds": seconds,
            "start_bytes": 1e8,
            "peak_bytes": 3e8,
            **found,
        }

    runs = [
        run(BERGSON, 100, 5.0, correlation=0.5, correlation_of_whole=1.0),
        run(OURS, 100, 2.0),
        run(OURS, 100, 2.0),
        run(OURS, 900, 3.0),
    ]

    lines = table(runs).splitlines()[2:]

    assert lines[0] == f"| 100 | {OURS} | 2 | 1.0 s | 2.0 s | 50 |  | 300 MB (+200) |  |  |"
    assert lines[1] == (
        f"| 100 | {BERGSON} | 1 | 1.0 s | 5.0 s | 20 | 2.5 | 300 MB (+200) | 0.5000 | 1.0000 |"
    )
    assert lines[2].startswith(f"| 900 | {OURS} | 1 | 1.0 s | 3.0 s | 300 |")


def test_a_side_is_measured_from_what_it_returns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = np.arange(6, dtype=np.float32).reshape(3, 2)

    found = Measured(curvature_seconds=1.5, scoring_seconds=2.5, scores=scores)

    measure(tmp_path, OURS, JOB, lambda: found)

    told = json.loads(capsys.readouterr().out)

    assert (told["side"], told["pairs"], told["seeds"]) == (OURS, 3, 2)
    assert (told["shape"], told["damping"]) == ("llama", 0.5)
    assert (told["curvature_seconds"], told["scoring_seconds"]) == (1.5, 2.5)
    assert told["peak_bytes"] >= told["start_bytes"] > 1e6
    assert (np.load(scores_file(tmp_path)) == scores).all()


def test_bergsons_side_needs_nothing_of_this_environment() -> None:
    code = """
import sys
for name in ("torch", "fairseq2", "fairseq2_jest", "transformers"):
    sys.modules[name] = None
import benchmarks.influence.speed.bergson_side
"""

    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_job_goes_through_a_command_line() -> None:
    assert Job.parse(str(JOB)) == JOB


def test_each_side_is_compared_with_ours_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = {
        OURS: [[0.0, 1.0], [2.0, 4.0]],
        OURS_WHOLE: [[0.0, 1.0], [2.0, 3.0]],
        KRONFLUENCE[0]: [[0.0, 2.0], [4.0, 8.0]],
        BERGSON: [[0.0, 10.0], [20.0, 30.0]],
    }

    started: list[tuple[object, ...]] = []

    def start(self: Bench, module: str, *arguments: object, **where: object) -> str:
        started.append((module, *arguments, *where.values()))

        if module == "handover":
            Path(str(arguments[-1])).mkdir()
        else:
            out = Path(str(arguments[-1]))

            out.mkdir()

            side = BERGSON if module == "bergson_side" else str(arguments[0])

            np.save(scores_file(out), np.array(scores[side]))

        return "loading\n{}\n"

    monkeypatch.setattr(Bench, "_start", start)

    bench = Bench(JOB, kronfluence=Path("kron"), bergson=Path("env/python"), scratch=tmp_path)

    found = {side: bench.run(side, 2) for side in [BERGSON, *scores]}

    assert found[OURS] == {}
    assert found[OURS_WHOLE].keys() == {"correlation"}
    assert found[KRONFLUENCE[0]] == {"correlation": pytest.approx(1.0)}
    assert found[BERGSON]["correlation_of_whole"] == pytest.approx(1.0)
    assert found[BERGSON]["correlation"] < 0.99

    # What it reads is written once, and read in its own environment.
    job, handed_over = replace(JOB, num_pairs=2), tmp_path / "pairs-2"

    assert [call for call in started if call[0] != "side"] == [
        ("handover", job, handed_over),
        ("bergson_side", job, handed_over, tmp_path / "0", Path("env/python")),
        ("bergson_side", job, handed_over, tmp_path / "4", Path("env/python")),
    ]

    # Only kronfluence's packages are looked for where it is.
    assert [call[-1] for call in started if call[0] == "side"] == ["", "", "kron"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "tiny", "--bergson", "python"], "bergson has no models such as tiny"),
        (["--shape", "llama"], "name a peer"),
    ],
)
def test_a_comparison_that_cannot_be_is_refused(
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["speed", *arguments])

    with pytest.raises(SystemExit, match="2"):
        main()

    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("shape", "num_layers"), [("tiny", 8), ("small", 8), ("llama", 6)])
def test_all_sides_can_track_the_layers_of_the_model(shape: str, num_layers: int) -> None:
    size = SHAPES[shape]

    learner = create_model(size, tokenizer())

    layers = tracked_layers(learner, size)

    assert len(layers) == num_layers
    assert all(isinstance(layer.module, torch.nn.Linear) for layer in layers)

    wrapped = pair_model(learner, size)

    (batch,) = GradientPass(wrapped, layers, device=CPU).run(
        random_pairs(3, seed=1, max_len=9), [0, 1, 2], reduction="sum"
    )

    assert batch.layers.keys() == {layer.name for layer in layers}


@pytest.mark.parametrize("kind", ["nllb", "llama"])
def test_kronfluences_factors_are_of_the_positions_of_ours(kind: Literal["nllb", "llama"]) -> None:
    size = small_shape(kind)

    learner, pairs = create_model(size, tokenizer()), random_pairs(5, seed=1, max_len=9)

    wrapped = pair_model(learner, size)

    ours = wrapped.predict(pairs).positions

    source, target = counted_positions(
        (EncoderDecoderFormat if kind == "nllb" else PromptFormat)(tokenizer_of(size)), pairs
    )

    assert (target == ours["decoder"].counted).all()

    if kind == "nllb":
        assert (source == ours["encoder"].counted).all()


def test_a_peer_is_handed_the_same_model_pairs_and_layers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    size = small_shape("llama")

    learner, pairs = create_model(size, tokenizer()), random_pairs(4, seed=1, max_len=9)

    layers = tracked_layers(learner, size)

    data = BuiltIn(
        pool=cast(Corpus, range(len(pairs))),
        read_pool=lambda rows: (rows, pairs.take(rows.tolist())),
        seeds=pairs.take([2]),
        tokenizer=language_tokenizer(),
    )

    hand_over(Workload(model=learner, layers=layers, data=data), tmp_path / "peer")

    def read(name: str) -> list[Any]:
        found: list[Any] = json.loads((tmp_path / "peer" / name).read_text(encoding="utf-8"))

        return found

    rows, names = read("pool.json"), read("layers.json")

    assert read("seeds.json") == [rows[2]]

    wrapped = pair_model(learner, size)

    run = GradientPass(wrapped, layers, device=CPU)

    expected = by_pair(list(run.run(pairs, range(len(pairs)), reduction="sum")), len(pairs))

    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "peer" / "model")

    weights = [theirs.base_model.get_parameter(f"{name}.weight") for name in names]

    for row, whole in zip(rows, expected, strict=True):
        ids, labels = (torch.tensor([row[key]]) for key in ("input_ids", "labels"))

        loss = theirs(input_ids=ids, labels=labels).loss * (labels[:, 1:] != -100).sum()

        for found, layer in zip(torch.autograd.grad(loss, weights), layers, strict=True):
            torch.testing.assert_close(found, whole[layer.name], rtol=1e-4, atol=1e-5)
