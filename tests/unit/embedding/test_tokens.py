from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch
from fairseq2.data.tokenizers import TokenEncoder, Tokenizer
from fairseq2.error import NotSupportedError
from hypothesis import given, settings
from hypothesis import strategies as st

from fairseq2_jest.embedding.tokens import (
    SequenceFormats,
    batches_by_length,
    layout_of,
    pad,
)
from tests.unit.tiny import DEU, ENG, random_pairs, tokenizer


@given(st.lists(st.integers(0, 60), max_size=80), st.integers(1, 300))
@settings(deadline=None)
def test_each_sequence_is_in_one_batch_and_batches_keep_to_the_budget(
    lengths: list[int], budget: int
) -> None:
    batches = list(batches_by_length(lengths, budget))

    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(batches)

    for batch in batches:
        padded = len(batch) * max(lengths[index] for index in batch)

        assert padded <= budget or len(batch) == 1


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80), st.integers(1, 300))
@settings(deadline=None)
def test_batches_are_of_like_length_and_as_large_as_may_be(lengths: list[int], budget: int) -> None:
    batches = list(batches_by_length(lengths, budget))

    in_order = [lengths[index] for batch in batches for index in batch]

    assert in_order == sorted(lengths, reverse=True)

    for batch in batches[:-1]:
        assert (len(batch) + 1) * lengths[batch[0]] > budget


def test_equal_lengths_keep_their_order() -> None:
    assert list(batches_by_length([3, 5, 3, 5, 3], 10)) == [[1, 3], [0, 2, 4]]


def test_padding_is_put_behind() -> None:
    seqs, lengths = pad([torch.tensor([7, 8]), torch.tensor([5]), torch.tensor([4, 3, 2])], 9)

    assert seqs.tolist() == [[7, 8, 9], [5, 9, 9], [4, 3, 2]]
    assert lengths == [2, 1, 3]

    layout = layout_of(seqs, lengths)

    assert list(layout.seq_lens) == [2, 1, 3]
    assert layout.padded and not layout.packed


@pytest.mark.parametrize("mode", ["source", "target", "source_mmt_bt"])
@pytest.mark.parametrize("lang", [ENG, DEU])
def test_a_format_is_what_the_tokenizer_puts_around_a_text(lang: str, mode: str) -> None:
    text = "the dog sees the cat"

    expected = tokenizer().create_encoder(task="translation", lang=lang, mode=mode)(text)

    form = SequenceFormats(tokenizer()).get(lang, mode)
    body = tokenizer().create_raw_encoder()(text)

    assert form(body).tolist() == expected.tolist()
    assert form(body).dtype == torch.int64
    assert form.num_special == len(expected) - len(body)


def test_formats_are_made_once_and_told_apart() -> None:
    formats = SequenceFormats(tokenizer())

    assert formats.get(ENG, "source") is formats.get(ENG, "source")
    assert formats.get(ENG, "source").prefix.tolist() != formats.get(DEU, "source").prefix.tolist()
    assert formats.get(ENG, "source").num_special < formats.get(ENG, "target").num_special


def test_a_language_that_the_tokenizer_lacks_is_named() -> None:
    with pytest.raises(NotSupportedError, match="fra_Latn"):
        SequenceFormats(tokenizer()).get("fra_Latn", "source")


def test_pairs_are_taken_in_the_order_asked_for() -> None:
    pairs = random_pairs(5)

    taken = pairs.take([4, 0, 4])

    assert len(taken) == 3
    for place, index in enumerate([4, 0, 4]):
        assert torch.equal(taken.source[place], pairs.source[index])
        assert torch.equal(taken.target[place], pairs.target[index])
        assert taken.source_langs[place] == pairs.source_langs[index]
        assert taken.target_langs[place] == pairs.target_langs[index]


def test_synthetic_sources_are_tagged_and_no_others() -> None:
    formats, pairs = SequenceFormats(tokenizer()), random_pairs(6)

    tagged = replace(pairs, synthetic=[i % 2 == 0 for i in range(6)])

    sequences = formats.sources(tagged)

    for index, sequence in enumerate(sequences):
        mode = "source_mmt_bt" if index % 2 == 0 else "source"

        expected = formats.get(pairs.source_langs[index], mode)(pairs.source[index])

        assert torch.equal(sequence, expected)

    assert formats.source_lengths(tagged) == [len(sequence) for sequence in sequences]
    assert formats.source_lengths(tagged.take([1, 0])) == [len(sequences[1]), len(sequences[0])]
    assert formats.source_lengths(pairs) == formats.lengths(
        pairs.source, pairs.source_langs, "source"
    )


def test_a_tokenizer_without_a_token_for_it_has_a_text_as_tag() -> None:
    class Untagged:
        """Knows sources and targets alone, as most tokenizers do."""

        def create_encoder(self, *, task: str, lang: str, mode: str) -> TokenEncoder:
            if mode not in ("source", "target"):
                raise ValueError("`mode` must be 'source' or 'target'.")

            return tokenizer().create_encoder(task=task, lang=lang, mode=mode)

        def create_raw_encoder(self) -> TokenEncoder:
            return tokenizer().create_raw_encoder()

    formats = SequenceFormats(cast(Tokenizer, Untagged()))

    plain, tagged = (formats.get_source(ENG, synthetic=synthetic) for synthetic in (False, True))

    tag = tokenizer().create_raw_encoder()("<BT>")

    assert torch.equal(tagged.prefix, torch.cat([plain.prefix, tag]))
    assert torch.equal(tagged.suffix, plain.suffix)
    assert len(tag) > 0
