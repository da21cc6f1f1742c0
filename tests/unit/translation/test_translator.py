"""What comes out of batches of parts is what fairseq2 translates text by text."""

from __future__ import annotations

import random
from functools import cache
from typing import Any, cast

import pytest
import torch
from fairseq2.device import CPU
from fairseq2.generation import Seq2SeqGenerator
from fairseq2.generation.beam_search import BeamSearchSeq2SeqGenerator
from fairseq2.generation.text import TextTranslator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from fairseq2_jest.corpus.cleaning import normalize_text
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.prompt import Prompt, PromptConfig
from fairseq2_jest.embedding.translation_format import PromptTranslation
from fairseq2_jest.translation.errors import TranslationError
from fairseq2_jest.translation.result import Hypothesis, Translation
from fairseq2_jest.translation.splitting import split_text
from fairseq2_jest.translation.translator import Translator, check_room
from tests.unit.language_models import language_tokenizer
from tests.unit.tiny import DEU, ENG, model, sentences, tokenizer

MAX_LEN = 40

BEAM = 3

EN_DE = Direction(ENG, DEU)


@cache
def generator() -> Seq2SeqGenerator:
    # With larger weights a random model prefers some tokens to others, and not always the same.
    tiny = model(seed=3)

    with torch.no_grad():
        for parameter in tiny.parameters():
            parameter.mul_(3.0)

    return BeamSearchSeq2SeqGenerator(
        tiny, tokenizer().vocab_info, beam_size=BEAM, max_gen_len=(0.0, 12)
    )


def translator(direction: Direction = EN_DE, **options: Any) -> Translator:
    given: dict[str, Any] = {"max_source_len": MAX_LEN, "max_num_tokens": 200, **options}

    return Translator(generator(), tokenizer(), direction, device=CPU, **given)


def one_by_one(texts: list[str], direction: Direction = EN_DE) -> list[Translation]:
    """By fairseq2 alone, each text a batch of its own."""
    translate = TextTranslator(generator(), tokenizer(), direction.source, direction.target)

    decode = tokenizer().create_decoder(skip_special_tokens=True)

    return [
        Translation(
            hypotheses=[
                Hypothesis(text=normalize_text(decode(h.seq)), score=float(cast(Tensor, h.score)))
                for h in translate(text)[1].hypotheses[0]
            ]
        )
        for text in texts
    ]


def check_equal(actual: Translation, expected: Translation) -> None:
    assert [h.text for h in actual.hypotheses] == [h.text for h in expected.hypotheses]

    for ours, theirs in zip(actual.hypotheses, expected.hypotheses, strict=True):
        assert ours.score == pytest.approx(theirs.score, abs=2e-5)


@pytest.mark.parametrize("direction", [EN_DE, Direction(DEU, ENG)])
def test_batches_give_what_fairseq2_gives_text_by_text(direction: Direction) -> None:
    texts = [pair[direction.source == DEU] for pair in sentences(40)]

    actual = translator(direction, num_hypotheses=BEAM)(texts)

    expected = one_by_one(texts, direction)

    assert len({t.text for t in expected}) > 10

    for ours, theirs in zip(actual, expected, strict=True):
        check_equal(ours, theirs)


def test_fewer_hypotheses_are_the_first_of_more() -> None:
    texts = [source for source, _ in sentences(8)]

    for one, all_ in zip(
        translator(num_hypotheses=1)(texts), translator(num_hypotheses=BEAM)(texts), strict=True
    ):
        assert list(one.hypotheses) == list(all_.hypotheses[:1])


@settings(max_examples=20, deadline=None)
@given(
    blanks=st.lists(st.booleans(), min_size=1, max_size=12),
    max_num_tokens=st.integers(MAX_LEN, 300),
    max_batch_size=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_order_and_empty_texts_stay(
    blanks: list[bool], max_num_tokens: int, max_batch_size: int, seed: int
) -> None:
    pool = random.Random(seed).sample([source for source, _ in sentences(40)], len(blanks))

    texts = ["" if blank else text for blank, text in zip(blanks, pool, strict=True)]

    translations = translator(max_num_tokens=max_num_tokens, max_batch_size=max_batch_size)(texts)

    assert [t.hypotheses == () for t in translations] == blanks

    for text, ours in zip(texts, translations, strict=True):
        if text:
            assert ours.text == one_by_one([text])[0].text


def test_a_long_text_is_translated_in_parts() -> None:
    text = " ".join(source for source, _ in sentences(9))

    encode = tokenizer().create_encoder(task="translation", lang=ENG, mode="source")

    parts = split_text(text, lambda part: len(encode(part)) <= MAX_LEN)

    assert len(parts) > 1 and all(part.rstrip()[-1] in ".!?" for part in parts)

    (ours,) = translator(num_hypotheses=BEAM)([text])

    expected = one_by_one([part.strip() for part in parts])

    assert ours.num_parts == len(parts) and ours.num_tokens is None

    for rank, hypothesis in enumerate(ours.hypotheses):
        chosen = [part.hypotheses[rank] for part in expected]

        assert hypothesis.text == " ".join(h.text for h in chosen if h.text)
        assert min(h.score for h in chosen) - 2e-5 <= hypothesis.score
        assert hypothesis.score <= max(h.score for h in chosen) + 2e-5


def test_a_long_text_is_reported() -> None:
    short, long = sentences(1)[0][0], " ".join(source for source, _ in sentences(9))

    encode = tokenizer().create_encoder(task="translation", lang=ENG, mode="source")

    first, second, third = translator(long_lines="report")([short, long, short])

    assert second == Translation(num_tokens=len(encode(long)))
    assert first == third and first.text == one_by_one([short])[0].text


def test_a_text_of_just_the_limit_is_not_split() -> None:
    text = sentences(1)[0][0]

    length = len(tokenizer().create_encoder(task="translation", lang=ENG, mode="source")(text))

    assert translator(max_source_len=length)([text])[0].num_parts == 1
    assert translator(max_source_len=length - 1)([text])[0].num_parts == 2


def test_a_word_without_end_is_cut_and_nothing_of_it_lost() -> None:
    (translation,) = translator()(["a" * 500])

    assert translation.num_parts > 500 // MAX_LEN
    assert translation.text


def test_no_texts_are_no_batches() -> None:
    shares: list[float] = []

    assert translator()([], shares.append) == []
    assert translator()(["", ""], shares.append) == [Translation(), Translation()]
    assert shares == []


def test_a_batch_has_no_more_texts_than_it_may() -> None:
    shares: list[float] = []

    translator(max_num_tokens=10_000, max_batch_size=3)(
        [source for source, _ in sentences(8)], shares.append
    )

    assert shares == [3 / 8, 6 / 8, 1.0]


def test_progress_ends_at_one() -> None:
    shares: list[float] = []

    translator()([source for source, _ in sentences(20)], shares.append)

    assert shares == sorted(shares) and len(shares) > 2 and shares[-1] == 1.0


def test_a_model_of_nan_is_told() -> None:
    broken = model()

    with torch.no_grad():
        next(broken.parameters()).fill_(torch.nan)

    translate = Translator(
        BeamSearchSeq2SeqGenerator(broken, tokenizer().vocab_info, max_gen_len=(0.0, 8)),
        tokenizer(),
        EN_DE,
        device=CPU,
        max_source_len=MAX_LEN,
        max_num_tokens=200,
    )

    with pytest.raises(TranslationError, match="The model gives NaN"):
        translate(["a b"])


def test_special_tokens_must_leave_room() -> None:
    with pytest.raises(TranslationError, match="max_source_len is 2, which the tokenizer's 2"):
        translator(max_source_len=2)


def test_a_prompt_must_leave_room_for_a_part_of_a_text() -> None:
    prompt = Prompt(PromptConfig(template="Translate into {trg_lang}: {src_text}"))

    asked = PromptTranslation(language_tokenizer(), EN_DE, prompt)

    length = len(asked.source(asked.encode("").long()))

    check_room(asked, length + 8)

    with pytest.raises(TranslationError) as ex:
        check_room(asked, length + 7)

    assert str(ex.value).startswith(
        f"translation.max_source_len is {length + 7}, but prompt.template takes {length} tokens of"
    )
    assert f"raise it to {length + 8} at the very least" in str(ex.value)

    with pytest.raises(TranslationError, match=r"prompt\.template"):
        translator(max_source_len=length + 7, translation=asked)
