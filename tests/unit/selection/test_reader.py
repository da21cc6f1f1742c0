from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from fairseq2.device import CPU
from fairseq2.models.transformer import TransformerModel

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.errors import SelectionError
from fairseq2_jest.selection.iid import IidConfig, IidSelector
from fairseq2_jest.selection.independent import IndependentConfig, IndependentSelector
from fairseq2_jest.selection.joint import JointConfig, JointSelector
from fairseq2_jest.selection.log import SelectionLog
from fairseq2_jest.selection.selector import Selection, SuperBatch
from fairseq2_jest.selection.tokenizing import PairTokenizer
from tests.hashing import HashingEncoder
from tests.unit.selection.readers import (
    chosen,
    distinct_rows,
    joint,
    reader_of,
    texts_of,
    texts_of_rows,
)
from tests.unit.tiny import model, tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")


def test_it_trains_on_what_the_selector_chose(corpus: Corpus, tmp_path: Path) -> None:
    reader = reader_of(corpus, tmp_path, log=SelectionLog(tmp_path / "log"))

    sampler = CorpusSampler(corpus.sizes, corpus.weights, seed=7)

    for step in range(4):
        batches = next(reader)

        rows = chosen(tmp_path / "log")[step]

        assert len(rows) == 12
        assert len(set(rows)) == 12
        assert set(rows) < set(distinct_rows(sampler, 24))
        assert texts_of(batches) == texts_of_rows(corpus, rows)
        assert len(batches) > 1


def test_what_is_chosen_is_what_the_selector_chooses_from_the_whole_views(
    corpus: Corpus, tmp_path: Path
) -> None:
    """Against embeddings that are made pair by pair and compared as matrices."""
    config = IndependentConfig(super_batch_size=24, filter_ratio=0.75)

    reader = reader_of(
        corpus, tmp_path, selector=IndependentSelector(config), log=SelectionLog(tmp_path / "log")
    )

    next(reader)

    rows = CorpusSampler(corpus.sizes, corpus.weights, seed=7).next_rows(24)

    _, pairs = PairTokenizer(corpus, tokenizer(), max_seq_len=64)(rows)

    learner = LearnerEncoder(ForwardPass(model(), device=CPU, max_num_tokens=1), tokenizer())

    sources, targets = corpus.texts(rows)

    scores = (
        0.8 * (HashingEncoder().encode(sources) * HashingEncoder().encode(targets)).sum(axis=1)
        - 0.2 * (learner.encode_source(pairs) * learner.encode_target(pairs)).sum(dim=1).numpy()
    )

    expected = rows[np.argsort(-scores, kind="stable")[:6]]

    assert chosen(tmp_path / "log") == [expected.tolist()]


def test_pairs_that_are_too_long_are_counted_and_never_chosen(
    corpus: Corpus, tmp_path: Path
) -> None:
    reader = reader_of(
        corpus,
        tmp_path,
        max_seq_len=26,
        selector=joint(24, 0.0),
        log=SelectionLog(tmp_path / "log"),
    )

    too_long = 0

    for step in range(3):
        batches = next(reader)

        stats = reader.last_stats

        assert stats is not None
        assert stats.num_seen == 24
        assert stats.num_selected == 24 - stats.num_too_long
        assert texts_of(batches) == texts_of_rows(corpus, chosen(tmp_path / "log")[step])

        for batch in batches:
            assert max(*batch.source_seq_lens, *batch.target_seq_lens) <= 26

        too_long += stats.num_too_long

    assert too_long > 0


def test_a_super_batch_of_which_nothing_fits_is_said_in_a_sentence(
    corpus: Corpus, tmp_path: Path
) -> None:
    with pytest.raises(SelectionError, match=r"longer than dataset\.max_seq_len; raise it"):
        next(reader_of(corpus, tmp_path, max_seq_len=4))


def test_the_figures_of_a_step(corpus: Corpus, tmp_path: Path) -> None:
    reader = reader_of(corpus, tmp_path, log=SelectionLog(tmp_path / "log"))

    assert reader.last_stats is None

    batches = next(reader)

    stats = reader.last_stats

    assert stats is not None
    assert (stats.num_seen, stats.num_too_long, stats.num_selected) == (24, 0, 12)
    assert stats.seconds > 0.0
    assert stats.means.keys() == set(reader.embedder.mean_names)

    given, predicted = zip(*(batch.as_auto_regressive() for batch in batches), strict=True)

    assert stats.trained_tokens == (
        sum(batch.num_source_elements for batch in given),
        sum(batch.num_elements for batch in predicted),
    )

    rows = CorpusSampler(corpus.sizes, corpus.weights, seed=7).next_rows(24)

    noisy = [label == "misaligned" for label in corpus.labels(rows)]
    assert stats.num_noise_seen == sum(noisy)

    (selected,) = chosen(tmp_path / "log")
    noisy = [label == "misaligned" for label in corpus.labels(np.array(selected))]
    assert stats.num_noise_selected == sum(noisy)


def test_the_learners_tokens_are_all_that_its_encoder_embeds(
    corpus: Corpus, tmp_path: Path
) -> None:
    reader = reader_of(corpus, tmp_path)

    assert reader.embedder._learner is not None

    embedded: list[int] = []

    reader.embedder._learner._pass.model.get_submodule("encoder_frontend").register_forward_hook(
        lambda module, inputs, output: embedded.append(sum(inputs[1].seq_lens))
    )

    next(reader)

    assert reader.last_stats is not None
    assert reader.last_stats.encoded_tokens == sum(embedded)


def test_the_learner_looks_at_the_first_tokens_and_training_takes_all(
    corpus: Corpus, tmp_path: Path
) -> None:
    reader = reader_of(corpus, tmp_path)

    reader.embedder._max_num_tokens = 3

    assert reader.embedder._learner is not None

    lengths: list[int] = []

    reader.embedder._learner._pass.model.get_submodule("encoder_frontend").register_forward_hook(
        lambda module, inputs, output: lengths.extend(inputs[1].seq_lens)
    )

    batches = next(reader)

    # With the language's token and the end.
    assert max(lengths) == 5
    assert reader.last_stats is not None
    assert reader.last_stats.encoded_tokens == sum(lengths)
    assert max(max(batch.source_seq_lens) for batch in batches) > 5


@pytest.mark.parametrize("shortlist", [1.0, 0.75])
@pytest.mark.parametrize("view", ["similarity", "loss"])
def test_the_passes_of_a_step_are_foretold(
    corpus: Corpus, tmp_path: Path, shortlist: float, view: Literal["similarity", "loss"]
) -> None:
    reader = reader_of(
        corpus,
        tmp_path,
        selector=JointSelector(
            JointConfig(
                super_batch_size=24, filter_ratio=0.5, shortlist=shortlist, learner_view=view
            )
        ),
    )

    learner = model()

    reader.embedder._learner_loss = (
        TranslationLoss(ForwardPass(learner, device=CPU, max_num_tokens=200), tokenizer())
        if view == "loss"
        else None
    )

    if reader.embedder._learner is not None:
        embedding = reader.embedder._learner._pass.model

        assert isinstance(embedding, TransformerModel)

        learner = embedding

    passed = Counter[str]()

    learner.encoder.register_forward_pre_hook(lambda _, i: passed.update(encoder=len(i[0])))
    learner.decoder.register_forward_pre_hook(lambda _, i: passed.update(decoder=len(i[0])))

    next(reader)

    assert passed["encoder"] > 0
    assert reader.embedder.passes == (passed["encoder"] / 12, passed["decoder"] / 12)


def test_a_selector_is_told_how_far_the_run_is(corpus: Corpus, tmp_path: Path) -> None:
    told: list[float] = []

    class Told(IidSelector):
        def select(self, super_batch: SuperBatch, generator: torch.Generator) -> Selection:
            told.append(super_batch.progress)

            return super().select(super_batch, generator)

    reader = reader_of(corpus, tmp_path, selector=Told(IidConfig(batch_size=6)))

    reader._num_steps = 5

    for _ in range(3):
        next(reader)

    resumed = reader_of(corpus, tmp_path, selector=Told(IidConfig(batch_size=6)))
    resumed._num_steps = 5
    resumed.load_state_dict(reader.state_dict())

    for _ in range(2):
        next(resumed)

    assert told == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_selector_that_needs_no_embeddings_costs_none(corpus: Corpus, tmp_path: Path) -> None:
    reader = reader_of(
        corpus,
        tmp_path,
        selector=IidSelector(IidConfig(batch_size=9)),
        log=SelectionLog(tmp_path / "log"),
    )

    batches = next(reader)

    expected = CorpusSampler(corpus.sizes, corpus.weights, seed=7).next_rows(9)

    assert chosen(tmp_path / "log") == [expected.tolist()]
    assert texts_of(batches).total() == 9
    assert not list((tmp_path / "store").rglob("segment-*"))

    assert reader.last_stats is not None
    assert reader.last_stats.encoded_tokens == 0
    assert reader.embedder.mean_names == []
    assert reader.last_stats.means.keys() == set(reader.embedder.mean_names)


def test_a_step_is_announced_and_its_list_is_the_callers(corpus: Corpus, tmp_path: Path) -> None:
    reader = reader_of(corpus, tmp_path)

    steps: list[object] = []
    reader.on_read = lambda: steps.append(reader.state_dict()["step"])

    for _ in range(3):
        # As fairseq2's trainer does.
        next(reader).clear()

        reader.reset()

    assert steps == [0, 1, 2]
    assert iter(reader) is reader
    assert reader.state_dict()["step"] == 3
