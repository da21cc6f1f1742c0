from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from fairseq2_jest.evaluation.comet import worker
from fairseq2_jest.evaluation.comet.config import CometConfig
from fairseq2_jest.evaluation.comet.interpreter import PYTHON_VARIABLE, find_interpreter
from fairseq2_jest.evaluation.comet.scorer import CometScorer, read_identity, write_identity
from fairseq2_jest.evaluation.errors import EvaluationError
from tests.fake_comet import count, overlap, sent, write_fake

Start = Callable[..., CometScorer]

SOURCES = ["a dog", "a cat", "two birds"]
TRANSLATIONS = ["ein Hund", "eine Katze läuft", "Fische"]
REFERENCES = ["ein Hund", "eine Katze", "zwei Vögel"]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    def start(config: CometConfig | None = None, **plan: object) -> CometScorer:
        program = write_fake(tmp_path / "env", **plan)

        values = {} if config is None else vars(config)

        return CometScorer(
            CometConfig(**{**values, "python": program}), tmp_path / "comet.log", field="here.comet"
        )

    return start


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False

    return True


def test_scores_come_in_the_order_of_the_translations_from_one_process(
    start: Start, tmp_path: Path
) -> None:
    scorer = start()

    expected = [overlap(*texts) for texts in zip(TRANSLATIONS, REFERENCES, strict=True)]

    assert expected == [1.0, 2 / 3, 0.0]

    for _ in range(3):
        assert scorer.score(SOURCES, TRANSLATIONS, REFERENCES) == expected

    program = tmp_path / "env" / "python"

    assert count(program, "starts") == 1
    assert sent(program)[2][1] == {"src": "a cat", "mt": "eine Katze läuft", "ref": "eine Katze"}


def test_what_decides_a_score_is_in_its_signature(start: Start, tmp_path: Path) -> None:
    scorer = start(CometConfig(model="some/model", precision="bf16"))

    assert scorer.identity.signature == (
        "model:some/model|revision:r1|precision:bf16|version:2.2.7"
    )

    write_identity(tmp_path, scorer.identity)

    assert read_identity(tmp_path) == scorer.identity
    assert read_identity(tmp_path / "env") is None


def test_a_model_without_references_is_sent_none(start: Start, tmp_path: Path) -> None:
    start(needs_references=False).score(SOURCES, TRANSLATIONS, REFERENCES)

    assert all(sample.keys() == {"src", "mt"} for sample in sent(tmp_path / "env" / "python")[0])


def test_megabytes_pass_in_both_directions(start: Start) -> None:
    texts = [f"word{number} " * 20 for number in range(10_000)]

    assert start().score(texts, texts, texts) == [1.0] * 10_000


def test_nothing_is_asked_about_nothing(start: Start, tmp_path: Path) -> None:
    assert start().score([], [], []) == []
    assert not (tmp_path / "env" / "requests").exists()


def test_a_process_that_was_killed_is_started_again(start: Start, tmp_path: Path) -> None:
    scorer = start()

    before = scorer.score(SOURCES, TRANSLATIONS, REFERENCES)

    os.kill(scorer.pid, 9)

    assert scorer.score(SOURCES, TRANSLATIONS, REFERENCES) == before
    assert count(tmp_path / "env" / "python", "starts") == 2


def test_a_process_that_dies_over_a_request_is_asked_once_more(start: Start) -> None:
    assert start(dies_at=[1]).score(SOURCES, TRANSLATIONS, REFERENCES) == [1.0, 2 / 3, 0.0]


def test_the_process_ends_with_its_scorer(start: Start) -> None:
    scorer = start()

    pid = scorer.pid

    assert is_alive(pid)

    del scorer

    gc.collect()

    assert not is_alive(pid)


def test_ranks_and_paths_of_this_process_are_kept_from_it(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    withheld = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "SLURM_NTASKS", "PYTHONPATH",
                "TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE")  # fmt: skip

    for name in withheld:
        monkeypatch.setenv(name, "1")

    monkeypatch.setenv("HF_HOME", "/models")

    start()

    env = json.loads((tmp_path / "env" / "environment.json").read_text())

    assert env["HF_HOME"] == "/models"
    assert not env.keys() & set(withheld)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"dies_at": [1, 2]}, r"ended twice .*\(RuntimeError: out of memory\).*comet.batch_size"),
        ({"says": "no JSON"}, r"'no JSON\\n'.*see .*comet.log.*mend here.comet.python"),
        ({"says": "[1.0]"}, r"no answer \('\[1.0\]\\n'\)"),
        ({"says": {"scores": [1.0]}}, "no answer"),
        ({"says": {"scores": ["1", "2", "3"]}}, "no answer"),
        ({"says": {"points": 3}}, "no answer"),
        ({"says": '{"scores": [0.5, NaN, 0.5]}'}, "translation 2 is not a number"),
        ({"says": {"error": "no room"}}, "here.comet says: no room; mend it there"),
        ({"hangs": True}, "within 0.5 seconds: raise here.comet.score_timeout"),
        ({"dies_at": [1], "revisions": ["r1", "r2"]}, "revision r1, and this is r2"),
    ],
)  # fmt: skip
def test_a_fault_is_told_in_one_sentence(
    start: Start, plan: dict[str, object], message: str
) -> None:
    scorer = start(CometConfig(score_timeout=0.5 if "hangs" in plan else 60.0), **plan)

    begin = time.monotonic()

    with pytest.raises(EvaluationError, match=message) as caught:
        scorer.score(SOURCES, TRANSLATIONS, REFERENCES)

    assert "\n" not in str(caught.value)
    assert time.monotonic() - begin < 10.0


@pytest.mark.parametrize(
    ("config", "plan", "message"),
    [
        (CometConfig(), {"dies_at_load": 1}, r"ended while .*\(Killed for want of memory\)"),
        (CometConfig(), {"loaded": {"error": "a/b is not there"}}, "here.comet says: a/b is not"),
        (CometConfig(), {"loaded": {"ok": True}}, "no answer"),
        (CometConfig(version="2.2.6"), {}, "here.comet.version is 2.2.6, .* has COMET 2.2.7"),
    ],
)  # fmt: skip
def test_a_fault_at_the_start_is_told_in_one_sentence(
    start: Start, config: CometConfig, plan: dict[str, object], message: str
) -> None:
    with pytest.raises(EvaluationError, match=message):
        start(config, **plan)


def test_the_worker_says_that_its_interpreter_has_no_comet(tmp_path: Path) -> None:
    if find_spec("comet") is not None:
        pytest.skip("This interpreter has COMET.")

    config = CometConfig(python=Path(sys.executable))

    with pytest.raises(EvaluationError, match=r"here\.comet says: .* cannot import COMET"):
        CometScorer(config, tmp_path / "comet.log", field="here.comet")


def test_the_worker_ends_with_its_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, worker.__file__],
        input=b'{"request": "score", "samples": []}\n',
        capture_output=True,
        check=True,
    )

    # Nothing was loaded: it says so, and does not die of it.
    assert list(json.loads(done.stdout)) == ["error"]


def test_without_comet_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr("fairseq2_jest.evaluation.comet.interpreter.find_spec", lambda name: None)

    with pytest.raises(EvaluationError, match=r"make comet.*name its interpreter in here\.python"):
        find_interpreter(CometConfig(), "here")


def test_the_environment_can_name_the_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, other = write_fake(tmp_path / "a"), write_fake(tmp_path / "b")

    monkeypatch.setenv(PYTHON_VARIABLE, str(other))

    assert find_interpreter(CometConfig(), "here") == other
    assert find_interpreter(CometConfig(python=named), "here") == named

    monkeypatch.setenv(PYTHON_VARIABLE, str(tmp_path / "none"))

    with pytest.raises(EvaluationError, match=rf"{PYTHON_VARIABLE} is .*none, which is no program"):
        find_interpreter(CometConfig(), "here")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (CometConfig(model=""), "model"),
        (CometConfig(device="gpu"), "device"),
        (CometConfig(batch_size=0), "batch_size"),
        (CometConfig(start_timeout=0.0), "start_timeout"),
        (CometConfig(score_timeout=float("nan")), "score_timeout"),
    ],
)
def test_configs_name_the_field_that_is_wrong(config: CometConfig, field: str) -> None:
    (error,) = config.validate().errors

    assert f"`{field}` must" in str(error)


def test_usual_configs_are_fine() -> None:
    assert not CometConfig().validate().has_error()
    assert not CometConfig(device="cuda:1", precision="fp32").validate().has_error()
