"""The real COMET, on a tiny model made through its own interface: scores are `comet-score`'s.

It needs an interpreter with COMET: that of `make comet`, named in FAIRSEQ2_JEST_COMET_PYTHON, or
the one that runs the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fairseq2_jest.evaluation.comet.config import CometConfig
from fairseq2_jest.evaluation.comet.interpreter import find_interpreter
from fairseq2_jest.evaluation.comet.scorer import CometScorer
from fairseq2_jest.evaluation.errors import EvaluationError
from tests.hugging_face import texts
from tests.sacrebleu_program import write_texts

LINES = texts(120)

SOURCES, REFERENCES = list(LINES[::2]), list(LINES[1::2])

TRANSLATIONS = [" ".join(reversed(line.split())) for line in REFERENCES]


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return find_interpreter(CometConfig(), "these tests")
    except EvaluationError:
        pytest.skip("There is no COMET here: make comet, and set FAIRSEQ2_JEST_COMET_PYTHON.")


@pytest.fixture(scope="module", params=["reference", "referenceless"])
def model(
    request: pytest.FixtureRequest, python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder: Path = tmp_path_factory.mktemp("comet") / request.param

    program = Path(__file__).parents[1] / "tiny_comet.py"

    subprocess.run([python, program, folder, "1", request.param], check=True, capture_output=True)

    return folder


def test_scores_are_those_of_comet_score(model: Path, python: Path, tmp_path: Path) -> None:
    command = [
        *(str(python.with_name("comet-score")), "--quiet", "--gpus", "0", "--model"),
        str(model / "checkpoints" / "model.ckpt"),
        *("-s", "src", "-t", "hyp", "--to_json", "scores.json"),
        *(() if model.name == "referenceless" else ("-r", "ref")),
    ]

    for name, lines in (("src", SOURCES), ("hyp", TRANSLATIONS), ("ref", REFERENCES)):
        write_texts(tmp_path / name, lines)

    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

    expected = [line["COMET"] for line in json.loads((tmp_path / "scores.json").read_text())["hyp"]]

    scorer = CometScorer(
        CometConfig(model=str(model), python=python), tmp_path / "log", field="metrics.comet"
    )

    assert scorer.needs_references == (model.name == "reference")

    # The second time all is in its cache; the third it is another process.
    for _ in range(2):
        assert scorer.score(SOURCES, TRANSLATIONS, REFERENCES) == expected

    os.kill(scorer.pid, 9)

    assert scorer.score(SOURCES, TRANSLATIONS, REFERENCES) == expected
    assert len(set(expected)) > len(expected) // 2
    assert "|precision:fp16|version:2." in scorer.identity.signature


def test_a_checkpoint_that_would_run_code_is_refused(
    model: Path, python: Path, tmp_path: Path
) -> None:
    """As Lightning saves it with a callback of somebody's own."""
    spoil = (
        "import sys, torch; from pathlib import Path\n"
        "class Runs:\n"
        "    def __reduce__(self): return (Path.touch, (Path(sys.argv[2]),))\n"
        "c = torch.load(sys.argv[1], weights_only=True)\n"
        "c['callbacks'] = Runs(); torch.save(c, sys.argv[3])\n"
    )

    checkpoint = model / "checkpoints" / "spoilt.ckpt"

    ran = tmp_path / "ran"

    arguments = [str(model / "checkpoints" / "model.ckpt"), str(ran), str(checkpoint)]

    subprocess.run([python, "-c", spoil, *arguments], check=True, capture_output=True)

    ran.unlink(missing_ok=True)

    config = CometConfig(model=str(checkpoint), python=python)

    with pytest.raises(EvaluationError, match=r"more than weights.*trust_checkpoint"):
        CometScorer(config, tmp_path / "log", field="metrics.comet")

    assert not ran.exists()

    trusting = replace(config, trust_checkpoint=True)

    CometScorer(trusting, tmp_path / "log", field="metrics.comet")

    assert ran.exists()


def test_a_model_that_is_nowhere_is_told(python: Path, tmp_path: Path) -> None:
    config = CometConfig(model="nobody/no-such-model", python=python)

    with pytest.raises(EvaluationError, match="nobody/no-such-model is neither a checkpoint here"):
        CometScorer(config, tmp_path / "log", field="metrics.comet")
