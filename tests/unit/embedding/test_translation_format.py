"""Translations of a language model, searched for by fairseq2."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from fairseq2.data.tokenizers import VocabularyInfo
from fairseq2.generation.beam_search import BeamSearchSequenceGenerator
from fairseq2.models.clm import CausalLM
from fairseq2.nn import BatchLayout
from torch import Tensor

from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.prompt import Prompt, PromptConfig
from fairseq2_jest.embedding.tokens import layout_of, pad
from fairseq2_jest.embedding.translation_format import PromptTranslation
from fairseq2_jest.models.generation import ignore_prompt_scores
from tests.unit.language_models import language_tokenizer
from tests.unit.tiny import DEU, ENG

END = 2


class Counter(CausalLM):
    """Counts down from the last token, and is sure of it: 9, 8, ..., 3, 2, which is the end."""

    def __init__(self) -> None:
        super().__init__(max_seq_len=100)

    # Of the base's overloads, the one that generators call.
    def forward(  # type: ignore[override]
        self, seqs: Tensor, layout: BatchLayout, **options: object
    ) -> Tensor:
        logits = torch.zeros((*seqs.shape, 12))

        logits.scatter_(2, (seqs - 1).clamp(min=END).unsqueeze(2), 5.0)

        return logits


def translation(**options: Any) -> PromptTranslation:
    prompt = Prompt(PromptConfig(template="{src_lang}: {src_text} {trg_lang}:"))

    return PromptTranslation(language_tokenizer(), Direction(ENG, DEU), prompt, **options)


def generator(beam_size: int = 1) -> BeamSearchSequenceGenerator:
    info = VocabularyInfo(12, unk_idx=None, bos_idx=None, eos_idx=END, pad_idx=0)

    search = BeamSearchSequenceGenerator(Counter(), info, beam_size=beam_size, max_gen_len=20)

    ignore_prompt_scores(search)

    return search


PROMPTS = [
    torch.tensor([11, 10, 11, 10, 11, 10, 11, 5]),
    torch.tensor([11, 4]),
    torch.tensor([10, 11, 6]),
    torch.tensor([4, 9]),
]


@pytest.mark.parametrize("beam_size", [1, 3])
def test_each_response_ends_where_it_should(beam_size: int) -> None:
    seqs, lengths = pad(PROMPTS, 0)

    found = translation().search(generator(beam_size), seqs, layout_of(seqs, lengths))

    assert [hypotheses[0].seq.tolist() for hypotheses in found] == [
        [4, 3, END],
        [3, END],
        [5, 4, 3, END],
        [8, 7, 6, 5, 4, 3, END],
    ]


def test_responses_are_scored_without_their_prompts() -> None:
    seqs, lengths = pad(PROMPTS, 0)

    found = translation().search(generator(3), seqs, layout_of(seqs, lengths))

    sure = 5.0 - torch.logsumexp(torch.tensor([5.0, *[0.0] * 11]), dim=0)

    for hypotheses in found:
        scores = [float(cast(Tensor, hypothesis.score)) for hypothesis in hypotheses]

        assert scores == sorted(scores, reverse=True)
        assert scores[0] == pytest.approx(float(sure), abs=1e-5)

    plain = translation(len_penalty=2.0).search(generator(3), seqs, layout_of(seqs, lengths))

    for hypotheses in plain:
        for hypothesis in hypotheses:
            assert hypothesis.step_scores is not None
            assert float(cast(Tensor, hypothesis.score)) == pytest.approx(
                float(hypothesis.step_scores.sum()) / len(hypothesis.seq) ** 2, abs=1e-5
            )


def test_a_text_is_put_into_its_prompt_and_a_response_is_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokenizer, form = language_tokenizer(), translation()

    encode, decode = tokenizer.create_raw_encoder(), tokenizer.create_decoder()

    assert decode(form.encode("the cat")) == decode(encode("English: the cat German:"))
    assert form.source.prefix.tolist() == [tokenizer.vocab_info.bos_idx]
    assert form.source.suffix.tolist() == []

    end = torch.tensor([tokenizer.vocab_info.eos_idx])

    assert form.decode(torch.cat([encode("die katze"), end])) == "die katze"
    assert form.decode(end) == ""

    monkeypatch.setattr(form, "_decode", lambda seq: "\n die katze \nEnglish: the dog")

    assert form.decode(encode("x")) == "die katze"


def test_a_language_without_a_name_is_told() -> None:
    prompt = Prompt(PromptConfig())

    with pytest.raises(CorpusError, match=r"The language 'xx' has no known name to put into a pro"):
        PromptTranslation(language_tokenizer(), Direction(ENG, "xx"), prompt)
