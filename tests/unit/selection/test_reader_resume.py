from __future__ import annotations

import io
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.selection.errors import ResumeError
from fairseq2_jest.selection.log import SelectionLog
from tests.unit.selection.readers import chosen, reader_of
from tests.unit.tiny import open_corpus, sentences

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_resumed_run_continues_exactly(corpus: Corpus, tmp_path: Path) -> None:
    log = SelectionLog(tmp_path / "log")

    reader = reader_of(corpus, tmp_path, log=log)

    for _ in range(3):
        next(reader)

    # It must go through a file, and without code in it.
    stream = io.BytesIO()
    torch.save(reader.state_dict(), stream)

    following = [next(reader) for _ in range(3)]

    undisturbed = (tmp_path / "log").read_bytes()

    stream.seek(0)
    state = torch.load(stream, weights_only=True)

    resumed = reader_of(corpus, tmp_path, log=log)
    resumed.load_state_dict(state)

    assert len(chosen(tmp_path / "log")) == 3

    for expected in following:
        batches = next(resumed)

        assert len(batches) == len(expected)
        for one, other in zip(batches, expected, strict=True):
            assert torch.equal(one.source_seqs, other.source_seqs)
            assert torch.equal(one.target_seqs, other.target_seqs)
            assert one.source_seq_lens == other.source_seq_lens
            assert one.target_seq_lens == other.target_seq_lens

    assert (tmp_path / "log").read_bytes() == undisturbed


def test_a_state_does_not_change_as_the_run_goes_on(corpus: Corpus, tmp_path: Path) -> None:
    reader = reader_of(corpus, tmp_path)

    next(reader)

    state = reader.state_dict()
    before = deepcopy(state)

    next(reader)

    # A checkpoint may be written while the next step runs.
    generator, generator_before = state.pop("generator"), before.pop("generator")

    assert isinstance(generator, Tensor) and isinstance(generator_before, Tensor)
    assert torch.equal(generator, generator_before)
    assert state == before

    later = reader.state_dict()["generator"]

    assert isinstance(later, Tensor)
    assert not torch.equal(generator, later)


def test_a_checkpoint_of_another_corpus_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    other = open_corpus(tmp_path, [("eng_Latn-deu_Latn", sentences(30))])

    state = reader_of(other, tmp_path / "other").state_dict()

    with pytest.raises(ResumeError, match="not the one this run was started with"):
        reader_of(corpus, tmp_path).load_state_dict(state)


def test_a_new_run_in_an_old_place_begins_its_log_anew(corpus: Corpus, tmp_path: Path) -> None:
    log = SelectionLog(tmp_path / "log")

    for _ in range(2):
        reader = reader_of(corpus, tmp_path, log=log)

        next(reader)
        next(reader)

        assert len(chosen(tmp_path / "log")) == 2


def test_a_step_that_is_tried_again_is_logged_once(corpus: Corpus, tmp_path: Path) -> None:
    reader = reader_of(corpus, tmp_path, log=SelectionLog(tmp_path / "log"))

    for step in (1, 2):
        next(reader)
        reader.at_step(step)

    first = chosen(tmp_path / "log")

    # The trainer met an overflow at step 2, and reads again.
    next(reader)
    reader.at_step(2)

    second = chosen(tmp_path / "log")

    assert len(first) == len(second) == 2
    assert first[0] == second[0]
    assert first[1] != second[1]

    next(reader)
    reader.at_step(3)

    assert len(chosen(tmp_path / "log")) == 3
    assert reader.state_dict()["step"] == 3


def test_a_state_of_another_seed_is_no_damaged_checkpoint(corpus: Corpus, tmp_path: Path) -> None:
    reader = reader_of(corpus, tmp_path)

    state = reader.state_dict()
    sampler_state = state["super_batches"]

    assert isinstance(sampler_state, dict)

    with pytest.raises(ResumeError, match="seed"):
        reader.load_state_dict({**state, "super_batches": {**sampler_state, "seed": 8}})
