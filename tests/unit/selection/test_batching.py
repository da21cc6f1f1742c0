from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import cast

import pytest
import torch
from fairseq2.data.tokenizers import Tokenizer, VocabularyInfo
from fairseq2.datasets import Seq2SeqBatch
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.errors import SelectionError
from tests.unit.tiny import DEU, ENG, random_pairs, tokenizer


def sequences_of(batches: Sequence[Seq2SeqBatch]) -> Counter[tuple[tuple[int, ...], ...]]:
    """The pairs in batches, padding and special tokens left out."""
    return Counter(
        # Source: language and end; target: end, language and end.
        (tuple(source[1 : source_len - 1]), tuple(target[2 : target_len - 1]))
        for batch in batches
        for source, source_len, target, target_len in zip(
            batch.source_seqs.tolist(),
            batch.source_seq_lens,
            batch.target_seqs.tolist(),
            batch.target_seq_lens,
            strict=True,
        )
    )


def bodies_of(pairs: TokenizedPairs) -> Counter[tuple[tuple[int, ...], ...]]:
    return Counter(
        (tuple(source.tolist()), tuple(target.tolist()))
        for source, target in zip(pairs.source, pairs.target, strict=True)
    )


def batches_of_ranks(
    pairs: TokenizedPairs, budget: int, num_ranks: int
) -> list[list[Seq2SeqBatch]]:
    batcher = MicroBatcher(tokenizer(), max_num_tokens=budget)

    return [batcher.batches(pairs, rank=r, num_ranks=num_ranks) for r in range(num_ranks)]


@given(
    num=st.integers(1, 40),
    num_ranks=st.integers(1, 4),
    budget=st.integers(60, 400),
    seed=st.integers(0, 1_000),
)
@settings(deadline=None, max_examples=60)
def test_each_pair_is_in_one_batch_of_one_rank_and_ranks_have_equally_many(
    num: int, num_ranks: int, budget: int, seed: int
) -> None:
    pairs = random_pairs(max(num, num_ranks), seed=seed)

    of_ranks = batches_of_ranks(pairs, budget, num_ranks)

    together = sequences_of([batch for batches in of_ranks for batch in batches])

    assert together == bodies_of(pairs)
    assert len({len(batches) for batches in of_ranks}) == 1


@given(num=st.integers(1, 40), budget=st.integers(60, 400), seed=st.integers(0, 1_000))
@settings(deadline=None, max_examples=40)
def test_one_rank_keeps_to_the_budget_of_tokens(num: int, budget: int, seed: int) -> None:
    pairs = random_pairs(num, seed=seed)

    (batches,) = batches_of_ranks(pairs, budget, 1)

    for batch in batches:
        assert batch.source_seqs.numel() <= budget
        assert batch.target_seqs.numel() <= budget

    # The budget is used: padded to the longer side, batches are half full on average.
    tokens = sum(
        max(len(source), len(target)) + 4
        for source, target in zip(pairs.source, pairs.target, strict=True)
    )
    assert len(batches) <= 1 + 2 * math.ceil(tokens / (budget - 24))


def test_several_ranks_keep_to_the_budget_of_tokens() -> None:
    body = torch.full((6,), 5)

    pairs = TokenizedPairs(
        source=[body] * 9, target=[body] * 9, source_langs=[ENG] * 9, target_langs=[DEU] * 9
    )

    for batches in batches_of_ranks(pairs, 25, 2):
        for batch in batches:
            assert batch.target_seqs.numel() <= 25


def test_the_longest_pairs_that_a_config_admits_are_shared_by_two_ranks() -> None:
    # dataset.max_seq_len = dataset.max_num_tokens = 16, and a target has three special tokens.
    body = torch.full((13,), 5)

    pairs = TokenizedPairs(
        source=[body] * 4, target=[body] * 4, source_langs=[ENG] * 4, target_langs=[DEU] * 4
    )

    of_ranks = batches_of_ranks(pairs, 16, 2)

    assert all(len(batches) == 2 for batches in of_ranks)


def test_ranks_have_batches_of_like_length() -> None:
    of_ranks = batches_of_ranks(random_pairs(60), 120, 3)

    assert len(of_ranks[0]) > 3
    for batches in zip(*of_ranks, strict=True):
        widths = [max(b.source_seqs.size(1), b.target_seqs.size(1)) for b in batches]

        # Lengths go from 1 to 20; neighbours in that order are dealt out.
        assert max(widths) - min(widths) <= 4


@pytest.mark.parametrize(("num", "num_ranks"), [(0, 1), (1, 2), (3, 4)])
def test_fewer_pairs_than_ranks_are_refused(num: int, num_ranks: int) -> None:
    batcher = MicroBatcher(tokenizer(), max_num_tokens=100)

    with pytest.raises(SelectionError, match=rf"{num} pair\(s\) cannot be shared by {num_ranks}"):
        batcher.batches(random_pairs(num), rank=0, num_ranks=num_ranks)


def test_a_batch_has_the_special_tokens_of_each_pairs_languages() -> None:
    pairs = random_pairs(4)

    batch = MicroBatcher(tokenizer(), max_num_tokens=100).collate(pairs, example="carried along")

    assert batch.example == "carried along"

    for index in range(4):
        source = tokenizer().create_encoder(lang=pairs.source_langs[index], mode="source")
        target = tokenizer().create_encoder(lang=pairs.target_langs[index], mode="target")

        for encoder, body, seqs, lens in (
            (source, pairs.source[index], batch.source_seqs, batch.source_seq_lens),
            (target, pairs.target[index], batch.target_seqs, batch.target_seq_lens),
        ):
            assert encoder.prefix_indices is not None and encoder.suffix_indices is not None

            expected = torch.cat([encoder.prefix_indices, body, encoder.suffix_indices])

            assert seqs[index, : lens[index]].tolist() == expected.tolist()
            assert set(seqs[index, lens[index] :].tolist()) <= {tokenizer().vocab_info.pad_idx}


def test_a_tokenizer_without_padding_is_refused() -> None:
    class NoPadding:
        vocab_info = VocabularyInfo(size=10, unk_idx=1, bos_idx=2, eos_idx=3, pad_idx=None)

    without = cast(Tokenizer, NoPadding())

    with pytest.raises(EmbeddingError, match="no padding token"):
        MicroBatcher(without, max_num_tokens=100)
