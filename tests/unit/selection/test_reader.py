from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang, Gangs
from fairseq2.models.transformer import TransformerModel
from torch import Tensor

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.embedder import SuperBatchEmbedder
from fairseq2_jest.selection.errors import ResumeError, SelectionError
from fairseq2_jest.selection.iid import IidConfig, IidSelector
from fairseq2_jest.selection.independent import IndependentConfig, IndependentSelector
from fairseq2_jest.selection.joint import JointConfig, JointSelector
from fairseq2_jest.selection.log import SelectionLog
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.selector import BatchSelector, Selection, SuperBatch
from fairseq2_jest.selection.tokenizing import PairTokenizer, SuperBatchReader
from tests.hashing import HashingEncoder
from tests.unit.tiny import gangs_of, model, on_ranks, open_corpus, sentences, tokenizer

NUM_ROWS = 60
NUM_STEPS = 4

ALONE = gangs_of(FakeGang(CPU))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Two directions, and a label on every row."""
    rows = [
        (source, target, "misaligned" if number % 3 == 0 else "clean")
        for number, (source, target) in enumerate(sentences(NUM_ROWS))
    ]

    return open_corpus(
        tmp_path_factory.mktemp("corpus"),
        [
            ("eng_Latn-deu_Latn", rows[:40]),
            ("deu_Latn-eng_Latn", [(target, source, label) for source, target, label in rows[40:]]),
        ],
    )


def joint(num: int = 24, filter_ratio: float = 0.5) -> BatchSelector:
    return JointSelector(JointConfig(super_batch_size=num, filter_ratio=filter_ratio, num_chunks=3))


def reader_of(
    corpus: Corpus,
    folder: Path,
    *,
    selector: BatchSelector | None = None,
    gangs: Gangs = ALONE,
    seed: int = 5,
    max_seq_len: int = 64,
    log: SelectionLog | None = None,
    budget: int = 160,
) -> SelectingDataReader:
    selector = selector or joint()

    return SelectingDataReader(
        corpus=corpus,
        super_batches=SuperBatchReader(
            CorpusSampler(corpus.sizes, corpus.weights, seed=7),
            PairTokenizer(corpus, tokenizer(), max_seq_len=max_seq_len),
            selector.super_batch_size,
        ),
        selector=selector,
        embedder=SuperBatchEmbedder(
            selector,
            gangs,
            learner=LearnerEncoder(
                ForwardPass(model(), device=CPU, max_num_tokens=200), tokenizer()
            ),
            reference=CachedReference.open(
                HashingEncoder(),
                corpus,
                corpus_digest=corpus.digest,
                num_rows=len(corpus),
                folder=folder / "store",
            ),
        ),
        batcher=MicroBatcher(tokenizer(), max_num_tokens=budget),
        gangs=gangs,
        seed=seed,
        log=log,
    )


def chosen(file: Path) -> list[list[int]]:
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]

    assert [line["step"] for line in lines] == list(range(1, len(lines) + 1))

    return [line["rows"] for line in lines]


def texts_of(batches: Sequence[Seq2SeqBatch]) -> Counter[str]:
    """The source texts in batches; each is of one row."""
    decode = tokenizer().create_decoder(skip_special_tokens=True)

    return Counter(
        decode(seq[:seq_len])
        for batch in batches
        for seq, seq_len in zip(batch.source_seqs, batch.source_seq_lens, strict=True)
    )


def distinct_rows(sampler: CorpusSampler, num: int) -> list[int]:
    rows: dict[int, None] = {}

    while len(rows) < num:
        rows.setdefault(int(sampler.next_rows(1)[0]))

    return list(rows)


def texts_of_rows(corpus: Corpus, rows: Sequence[int]) -> Counter[str]:
    return Counter(corpus.texts(np.array(rows, dtype=np.int64))[0])


def test_it_trains_on_what_the_selector_chose(corpus: Corpus, tmp_path: Path) -> None:
    reader = reader_of(corpus, tmp_path, log=SelectionLog(tmp_path / "log"))

    sampler = CorpusSampler(corpus.sizes, corpus.weights, seed=7)

    for step in range(NUM_STEPS):
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


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_choose_together_what_one_chooses_alone(
    corpus: Corpus, tmp_path: Path, num_ranks: int
) -> None:
    alone = reader_of(corpus, tmp_path / "alone", log=SelectionLog(tmp_path / "alone.jsonl"))

    for _ in range(NUM_STEPS):
        next(alone)

    def work(gangs: Gangs) -> list[list[Seq2SeqBatch]]:
        log = SelectionLog(tmp_path / f"rank{gangs.dp.rank}.jsonl")

        reader = reader_of(corpus, tmp_path / "together", gangs=gangs, log=log)

        return [next(reader) for _ in range(NUM_STEPS)]

    of_ranks = on_ranks(num_ranks, work)

    together = chosen(tmp_path / "rank0.jsonl")

    assert together == chosen(tmp_path / "alone.jsonl")
    assert len(together) == NUM_STEPS
    # The others have nothing to log that the first has not.
    assert [path.name for path in tmp_path.glob("rank*.jsonl")] == ["rank0.jsonl"]

    for step, rows in enumerate(together):
        shares = [texts_of(of_rank[step]) for of_rank in of_ranks]

        assert all(share.total() > 0 for share in shares)
        # No row is on two ranks, and none is left out.
        assert sum(shares, Counter()) == texts_of_rows(corpus, rows)
        assert len({len(of_rank[step]) for of_rank in of_ranks}) == 1


def test_ranks_share_the_work_of_embedding_and_the_figures(corpus: Corpus, tmp_path: Path) -> None:
    alone = reader_of(corpus, tmp_path / "alone")
    next(alone)

    def work(gangs: Gangs) -> tuple[int, SelectingDataReader]:
        reader = reader_of(corpus, tmp_path / "together", gangs=gangs)

        assert reader.embedder._learner is not None

        embedded: list[int] = []

        reader.embedder._learner._pass.model.get_submodule(
            "encoder_frontend"
        ).register_forward_hook(lambda module, inputs, output: embedded.append(len(inputs[0])))

        next(reader)

        return sum(embedded), reader

    results = on_ranks(3, work)

    # Both sides of a third of 24 pairs.
    assert [num for num, _ in results] == [16, 16, 16]

    assert alone.last_stats is not None
    for _, reader in results:
        assert reader.last_stats is not None
        assert reader.last_stats.means == pytest.approx(alone.last_stats.means, abs=1e-5)
        assert reader.last_stats.num_selected == alone.last_stats.num_selected == 12
        assert reader.last_stats.encoded_tokens == alone.last_stats.encoded_tokens


@pytest.mark.parametrize(("num", "num_ranks"), [(5, 4), (7, 3)])
def test_a_super_batch_that_the_ranks_do_not_divide_loses_nothing(
    corpus: Corpus, tmp_path: Path, num: int, num_ranks: int
) -> None:
    """With 5 rows and 4 ranks, the last one has nothing to embed."""

    def work(gangs: Gangs) -> list[Seq2SeqBatch]:
        reader = reader_of(corpus, tmp_path, gangs=gangs, selector=joint(num, 0.0))

        return next(reader)

    batches = [batch for of_rank in on_ranks(num_ranks, work) for batch in of_rank]

    rows = CorpusSampler(corpus.sizes, corpus.weights, seed=7).next_rows(num)

    assert texts_of(batches) == texts_of_rows(corpus, rows.tolist())


def test_ranks_that_disagree_are_stopped(corpus: Corpus, tmp_path: Path) -> None:
    def work(gangs: Gangs) -> tuple[str, int]:
        log = SelectionLog(tmp_path / "log") if gangs.dp.rank == 0 else None

        reader = reader_of(corpus, tmp_path, gangs=gangs, seed=5 + gangs.dp.rank, log=log)

        # By chance alone, one step in millions is chosen alike.
        with pytest.raises(SelectionError) as info:
            next(reader)

        step = reader.state_dict()["step"]

        assert isinstance(step, int)

        return str(info.value), step

    for message, step in on_ranks(2, work):
        assert message.startswith("The ranks chose different pairs at step 1; ")
        assert step == 0

    assert not (tmp_path / "log").exists()


def test_more_ranks_than_chosen_pairs_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    def work(gangs: Gangs) -> str:
        reader = reader_of(corpus, tmp_path, gangs=gangs, selector=joint(10, 0.9))

        with pytest.raises(SelectionError) as info:
            next(reader)

        return str(info.value)

    for message in on_ranks(2, work):
        assert "1 pair(s) cannot be shared by 2 ranks" in message


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

    next(reader)

    stats = reader.last_stats

    assert stats is not None
    assert (stats.num_seen, stats.num_too_long, stats.num_selected) == (24, 0, 12)
    assert stats.seconds > 0.0
    assert stats.means.keys() == set(reader.embedder.mean_names)

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
