from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fairseq2.error import NotSupportedError

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.selection.errors import SelectionError
from fairseq2_jest.selection.tokenizing import PairTokenizer, SuperBatchReader
from tests.unit.tiny import DEU, ENG, open_corpus, sentences, tokenizer

NUM_ROWS = 40


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    pairs = sentences(NUM_ROWS)

    return open_corpus(
        tmp_path_factory.mktemp("corpus"),
        [
            ("eng_Latn-deu_Latn", pairs[:25]),
            ("deu_Latn-eng_Latn", [(target, source) for source, target in pairs[25:]]),
        ],
    )


def reader_of(corpus: Corpus, size: int = 12, *, max_seq_len: int = 64) -> SuperBatchReader:
    sampler = CorpusSampler(corpus.sizes, corpus.weights, seed=3)

    return SuperBatchReader(
        sampler, PairTokenizer(corpus, tokenizer(), max_seq_len=max_seq_len), size
    )


def test_tokens_are_of_the_rows_texts_and_languages(corpus: Corpus) -> None:
    rows = np.array([30, 2, 2, 24], dtype=np.int64)

    kept, pairs = PairTokenizer(corpus, tokenizer(), max_seq_len=64)(rows)

    assert kept.tolist() == rows.tolist()
    assert pairs.source_langs == [DEU, ENG, ENG, ENG]
    assert pairs.target_langs == [ENG, DEU, DEU, DEU]

    decode = tokenizer().create_decoder()

    assert [decode(tokens) for tokens in pairs.source] == corpus.texts(rows)[0]
    assert [decode(tokens) for tokens in pairs.target] == corpus.texts(rows)[1]


@pytest.mark.parametrize("max_seq_len", [4, 20, 24, 30, 64])
def test_a_pair_is_kept_if_both_sides_fit_with_their_special_tokens(
    corpus: Corpus, max_seq_len: int
) -> None:
    rows = np.arange(NUM_ROWS)

    kept, pairs = PairTokenizer(corpus, tokenizer(), max_seq_len=max_seq_len)(rows)

    assert len(pairs) == len(kept)

    sources, targets = corpus.texts(rows)

    for row, source, target in zip(rows, sources, targets, strict=True):
        direction = corpus.directions[int(corpus.direction_index(rows[[row]])[0])]

        # The learner sees the target in source mode, too.
        lengths = [
            len(tokenizer().create_encoder(lang=lang, mode=mode)(text))
            for text, lang, mode in (
                (source, direction.source, "source"),
                (target, direction.target, "source"),
                (target, direction.target, "target"),
            )
        ]

        if row in kept:
            assert max(lengths) <= max_seq_len
        else:
            # A source is taken to have as many special tokens as a target, which has one more.
            assert max(*lengths, lengths[0] + 1) > max_seq_len


def test_a_pair_of_just_the_length_is_kept(tmp_path: Path) -> None:
    source, target = sentences(1)[0]

    corpus = open_corpus(tmp_path, [("eng_Latn-deu_Latn", [(source, target)])])

    longest = max(
        len(tokenizer().create_encoder(lang=ENG, mode="target")(source)),
        len(tokenizer().create_encoder(lang=DEU, mode="target")(target)),
    )

    rows = np.array([0], dtype=np.int64)

    assert len(PairTokenizer(corpus, tokenizer(), max_seq_len=longest)(rows)[0]) == 1
    assert len(PairTokenizer(corpus, tokenizer(), max_seq_len=longest - 1)(rows)[0]) == 0


def test_a_language_that_the_tokenizer_lacks_is_named(tmp_path: Path) -> None:
    corpus = open_corpus(tmp_path, [("eng_Latn-fra_Latn", sentences(2))])

    with pytest.raises(NotSupportedError, match="fra_Latn"):
        PairTokenizer(corpus, tokenizer(), max_seq_len=64)


def distinct_rows(sampler: CorpusSampler, num: int) -> list[int]:
    """Drawn one by one, without those that are there already."""
    rows: list[int] = []

    while len(rows) < num:
        (row,) = sampler.next_rows(1).tolist()

        if row not in rows:
            rows.append(row)

    return rows


def test_super_batches_are_the_samplers_rows_each_once(corpus: Corpus) -> None:
    expected = CorpusSampler(corpus.sizes, corpus.weights, seed=3)

    reader = reader_of(corpus)

    for _ in range(6):
        super_batch = reader.read()

        assert super_batch.rows.tolist() == distinct_rows(expected, 12)
        assert super_batch.num_too_long == 0
        assert len(super_batch.pairs) == 12


def test_what_is_too_long_is_counted_not_made_up_for(corpus: Corpus) -> None:
    reader, unlimited = reader_of(corpus, max_seq_len=24), reader_of(corpus)

    total = 0

    for _ in range(4):
        super_batch, every = reader.read(), unlimited.read().rows

        assert len(super_batch.rows) + super_batch.num_too_long == 12
        assert set(super_batch.rows) <= set(every)

        total += super_batch.num_too_long

    assert total > 0


def test_what_was_read_ahead_is_read_again_after_a_resume(corpus: Corpus) -> None:
    reader = reader_of(corpus)

    for _ in range(3):
        reader.read()

    state = reader.state_dict()

    following = [reader.read().rows.tolist() for _ in range(4)]

    resumed = reader_of(corpus)
    # It has read on already, which must not be what it hands out.
    resumed.read()
    resumed.load_state_dict(state)

    assert resumed.state_dict() == state
    assert [resumed.read().rows.tolist() for _ in range(4)] == following


def test_a_reader_that_has_not_read_is_at_the_beginning(corpus: Corpus) -> None:
    reader = reader_of(corpus)

    state = reader.state_dict()
    first = reader.read().rows.tolist()

    reader.load_state_dict(state)

    assert reader.read().rows.tolist() == first


def test_a_state_of_another_seed_is_refused(corpus: Corpus) -> None:
    other = SuperBatchReader(
        CorpusSampler(corpus.sizes, corpus.weights, seed=4),
        PairTokenizer(corpus, tokenizer(), max_seq_len=64),
        12,
    )

    with pytest.raises(CorpusError, match="seed"):
        reader_of(corpus).load_state_dict(other.state_dict())


def test_a_super_batch_fills_up_with_uneven_weights_or_says_why_not(corpus: Corpus) -> None:
    def read(weight: float) -> list[int]:
        sampler = CorpusSampler(corpus.sizes, [weight, 1.0], seed=3)

        tokens = PairTokenizer(corpus, tokenizer(), max_seq_len=64)

        rows: list[int] = SuperBatchReader(sampler, tokens, NUM_ROWS).read().rows.tolist()

        return rows

    assert sorted(read(20.0)) == list(range(NUM_ROWS))

    with pytest.raises(SelectionError, match="No super-batch of 40 different pairs"):
        read(1e6)
