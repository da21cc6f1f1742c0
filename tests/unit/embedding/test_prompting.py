"""Prompts: what is asked, which tokens it becomes, and what is too long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.hg.tokenizer import HgTokenizerConfig, load_hg_tokenizer
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.prompt import Prompt, PromptConfig
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.prompting import PromptFormat, PromptTokenizer
from tests.unit.language_models import language_tokenizer
from tests.unit.tiny import open_corpus

EN_DE = Direction("eng_Latn", "deu_Latn")


def hugging_face_tokenizer(folder: Path, *, adds_begin: bool, has_end: bool = True) -> Tokenizer:
    words = ["<s>", "</s>", "<unk>", "A", "B", "C"]

    fast = FastTokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()

    if adds_begin:
        fast.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
        )

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast,
        unk_token="<unk>",
        bos_token="<s>",
        **({"eos_token": "</s>"} if has_end else {}),
    )

    tokenizer.save_pretrained(folder)

    return load_hg_tokenizer(folder, HgTokenizerConfig())


def test_the_default_is_the_papers() -> None:
    assert (
        Prompt(PromptConfig()).render("Guten Tag {trg_lang}", Direction("deu_Latn", "eng_Latn"))
        == 'Translate the following text into English.\n\nText:\n"Guten Tag {trg_lang}"'
    )


def test_languages_have_names() -> None:
    config = PromptConfig(
        template="{src_lang}>{trg_lang}: {src_text}", language_names={"zho_Hans": "Chinese"}
    )

    for direction, expected in (
        (EN_DE, "English>German: x"),
        (Direction("de_DE", "fr"), "German>French: x"),
        (Direction("zho_Hans", "zho_Hant"), "Chinese>Traditional Chinese: x"),
    ):
        assert Prompt(config).render("x", direction) == expected

    with pytest.raises(CorpusError, match="'tlh' has no known name"):
        Prompt(config).check(Direction("eng_Latn", "tlh"))

    # Its name is not asked for.
    Prompt(PromptConfig(template="{src_text}")).check(Direction("eng_Latn", "tlh"))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("Translate: ", "must contain {src_text}"),
        ("{src_text} {target}", "contains {target}, but knows only {src_text}"),
    ],
)
def test_templates_are_checked(template: str, message: str) -> None:
    assert message in str(PromptConfig(template=template).validate())


def test_a_sequence_is_begin_prompt_response_end(tmp_path: Path) -> None:
    tokenizer = language_tokenizer()

    corpus = open_corpus(
        tmp_path, [("eng_Latn-deu_Latn", [("A house.", "Ein Haus."), ("Yes.", "Ja.")])]
    )

    prompt = Prompt(PromptConfig())

    rows, pairs = PromptTokenizer(corpus, tokenizer, prompt, max_seq_len=500)(np.arange(2))

    assert rows.tolist() == [0, 1]

    form = PromptFormat(tokenizer)

    encode = tokenizer.create_raw_encoder()

    info = tokenizer.vocab_info

    sides, lengths = form.sequences(pairs), form.lengths(pairs)

    for asked, answer, source, target in zip(
        *sides, ("A house.", "Yes."), ("Ein Haus.", "Ja."), strict=True
    ):
        assert asked.tolist() == [
            info.bos_idx,
            *encode(prompt.render(source, EN_DE)).tolist(),
        ]
        assert answer.tolist() == [*encode(target).tolist(), info.eos_idx]

    assert lengths == tuple([len(sequence) for sequence in side] for side in sides)
    assert form.pass_lengths(pairs) == [sum(pair) for pair in zip(*lengths, strict=True)]


def test_what_is_too_long_is_left_out_not_cut(tmp_path: Path) -> None:
    tokenizer = language_tokenizer()

    texts = [
        ("A house.", "Ein Haus."),
        ("A house. A house. Yes.", "Ja, ein Haus."),
        ("Yes.", "Ein Haus. Ein Haus. Ja."),
    ]

    corpus = open_corpus(tmp_path, [("eng_Latn-deu_Latn", texts)])

    form = PromptFormat(tokenizer)

    _, pairs = PromptTokenizer(corpus, tokenizer, Prompt(PromptConfig()), max_seq_len=10_000)(
        np.arange(3)
    )

    lengths = form.pass_lengths(pairs)

    for limit in {*lengths, *(length - 1 for length in lengths)}:
        rows, kept = PromptTokenizer(corpus, tokenizer, Prompt(PromptConfig()), max_seq_len=limit)(
            np.arange(3)
        )

        assert rows.tolist() == [i for i in range(3) if lengths[i] <= limit]
        assert form.pass_lengths(kept) == [lengths[i] for i in rows]


@pytest.mark.parametrize("adds_begin", [True, False])
def test_a_tokenizer_of_transformers_keeps_its_own_begin(adds_begin: bool, tmp_path: Path) -> None:
    tokenizer = hugging_face_tokenizer(tmp_path, adds_begin=adds_begin)

    corpus = open_corpus(tmp_path, [("eng_Latn-deu_Latn", [("A", "B C")])])

    _, pairs = PromptTokenizer(
        corpus, tokenizer, Prompt(PromptConfig(template="{src_text}")), max_seq_len=9
    )(np.arange(1))

    (asked,), (answer,) = PromptFormat(tokenizer).sequences(pairs)

    assert asked.tolist() == [*([0] if adds_begin else []), 3]
    assert answer.tolist() == [4, 5, 1]


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddingError, match="no token for the end of a text"):
        PromptFormat(hugging_face_tokenizer(tmp_path, adds_begin=False, has_end=False))
