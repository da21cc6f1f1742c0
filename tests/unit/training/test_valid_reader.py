from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang
from numpy.typing import NDArray

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.tokenizing import PairTokenizer
from fairseq2_jest.training.valid_reader import ValidationReader, ValidationTexts, rows_of_direction
from tests.unit.tiny import open_corpus, sentences, tokenizer

NUM_ROWS = 31
BUDGET = 80


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    pairs = sentences(NUM_ROWS + 5)

    return open_corpus(
        tmp_path_factory.mktemp("corpus"),
        [
            ("eng_Latn-deu_Latn", pairs[:27]),
            ("deu_Latn-eng_Latn", [(target, source) for source, target in pairs[27:32]]),
            ("eng_Latn-deu_Latn", pairs[32:]),
        ],
    )


def reader_of(
    corpus: Corpus,
    *,
    rank: int = 0,
    num_ranks: int = 1,
    num_translated: int | None = None,
    budget: int = BUDGET,
    max_seq_len: int = 64,
    rows: NDArray[np.int64] | None = None,
) -> ValidationReader:
    return ValidationReader(
        corpus,
        rows_of_direction(corpus, 0) if rows is None else rows,
        PairTokenizer(corpus, tokenizer(), max_seq_len=max_seq_len),
        MicroBatcher(tokenizer(), max_num_tokens=budget),
        FakeGang(CPU, rank=rank, size=num_ranks),
        max_num_tokens=budget,
        num_translated=num_translated,
    )


def texts_of(batches: Sequence[Seq2SeqBatch]) -> list[tuple[str, str]]:
    decode = tokenizer().create_decoder(skip_special_tokens=True)

    return [
        (decode(source[:source_len]), decode(target[:target_len]))
        for batch in batches
        for source, source_len, target, target_len in zip(
            batch.source_seqs,
            batch.source_seq_lens,
            batch.target_seqs,
            batch.target_seq_lens,
            strict=True,
        )
    ]


def flat(steps: Sequence[list[Seq2SeqBatch]]) -> list[Seq2SeqBatch]:
    return [batch for step in steps for batch in step]


def all_texts(corpus: Corpus) -> list[tuple[str, str]]:
    return list(zip(*corpus.texts(rows_of_direction(corpus, 0)), strict=True))


def test_the_rows_of_a_direction_come_from_all_its_corpora(corpus: Corpus) -> None:
    first, second = rows_of_direction(corpus, 0), rows_of_direction(corpus, 1)

    assert first.tolist() == [*range(27), *range(32, 36)]
    assert second.tolist() == list(range(27, 32))


@pytest.mark.parametrize("num_translated", [None, 7])
@pytest.mark.parametrize("num_ranks", [1, 2, 3])
def test_each_row_comes_once_to_one_rank(
    corpus: Corpus, num_ranks: int, num_translated: int | None
) -> None:
    steps = [
        list(reader_of(corpus, rank=rank, num_ranks=num_ranks, num_translated=num_translated))
        for rank in range(num_ranks)
    ]

    # A rank that made a step more would wait for the others forever.
    assert len({len(of_rank) for of_rank in steps}) == 1

    texts = [text for of_rank in steps for text in texts_of(flat(of_rank))]

    assert len(texts) == NUM_ROWS
    assert sorted(texts) == sorted(all_texts(corpus))


@pytest.mark.parametrize("num_ranks", [2, 3, 50])
def test_a_rank_that_is_done_has_nothing_to_do_until_the_last_one_is(
    corpus: Corpus, num_ranks: int
) -> None:
    num_batches = len(list(reader_of(corpus)))

    for rank in range(num_ranks):
        steps = list(reader_of(corpus, rank=rank, num_ranks=num_ranks))

        busy = [len(step) for step in steps]

        # Empty lists come last, and there is no step in which every rank is done.
        assert busy == sorted(busy, reverse=True)
        assert set(busy) <= {0, 1}
        assert len(steps) == -(-num_batches // num_ranks)
        assert sum(busy) == len(range(rank, num_batches, num_ranks))


def test_a_batch_carries_the_texts_of_its_own_rows(corpus: Corpus) -> None:
    batches = flat(list(reader_of(corpus)))

    assert len(batches) > 3
    for batch in batches:
        texts = batch.example

        assert isinstance(texts, ValidationTexts)
        assert list(zip(texts.sources, texts.references, strict=True)) == texts_of([batch])
        assert corpus.texts(np.array(texts.rows)) == (texts.sources, texts.references)


@pytest.mark.parametrize("num_translated", [1, 7, NUM_ROWS, 500])
def test_as_many_as_asked_for_are_to_be_translated_from_the_first(
    corpus: Corpus, num_translated: int
) -> None:
    batches = flat(list(reader_of(corpus, num_translated=num_translated)))

    translated = [batch for batch in batches if batch.example is not None]

    texts = texts_of(translated)

    assert sorted(texts) == sorted(all_texts(corpus)[:num_translated])
    # The loss is taken over the others as well.
    assert len(texts_of(batches)) == NUM_ROWS


def test_a_run_through_can_be_left_and_taken_up(corpus: Corpus) -> None:
    reader = reader_of(corpus, num_ranks=2, rank=1)

    next(reader)
    next(reader)

    state = reader.state_dict()

    rest = texts_of(flat(list(reader)))

    other = reader_of(corpus, num_ranks=2, rank=1)
    other.load_state_dict(state)

    assert texts_of(flat(list(other))) == rest
    assert len(rest) > 0


def test_every_validation_reads_the_same(corpus: Corpus) -> None:
    reader = reader_of(corpus)

    first = flat(list(reader))

    with pytest.raises(StopIteration):
        next(reader)

    reader.reset()

    second = flat(list(reader))

    assert len(first) == len(second)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.source_seqs, other.source_seqs)
        assert torch.equal(one.target_seqs, other.target_seqs)


def test_pairs_that_are_too_long_are_passed_over(corpus: Corpus) -> None:
    kept = texts_of(flat(list(reader_of(corpus, max_seq_len=24))))

    encode = tokenizer().create_raw_encoder()

    longest = {
        text: max(len(encode(text[0])) + 2, len(encode(text[1])) + 3) for text in all_texts(corpus)
    }

    assert 0 < len(kept) < NUM_ROWS
    assert all(longest[text] <= 24 for text in kept)


def test_no_rows_are_no_batches(corpus: Corpus) -> None:
    assert list(reader_of(corpus, rows=np.array([], dtype=np.int64))) == []


def test_batches_keep_to_the_budget_of_tokens(corpus: Corpus) -> None:
    for batch in flat(list(reader_of(corpus))):
        assert batch.source_seqs.numel() <= BUDGET
        assert batch.target_seqs.numel() <= BUDGET
