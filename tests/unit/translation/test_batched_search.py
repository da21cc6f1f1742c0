"""The batched beam search finds what fairseq2's finds, token for token."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from fairseq2.error import NotSupportedError
from fairseq2.generation import (
    Hypothesis,
    SequenceGenerationError,
    SequenceGeneratorOutput,
)
from fairseq2.generation.beam_search import BeamSearchSeq2SeqGenerator
from fairseq2.generation.step_processor import NGramRepeatBlockProcessor
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from torch import Tensor

from fairseq2_jest.models.generation import ignore_prompt_scores
from fairseq2_jest.translation.batched_search import BatchedBeamSearchGenerator
from tests.hugging_face import texts
from tests.unit.models.parity import padded
from tests.unit.tiny import DEU, ENG, model, random_pairs, tokenizer


def lively(seed: int, *, eos: float = 0.0) -> TransformerModel:
    """A random model that heeds its source, and ends where it likes."""
    tiny = model(seed=seed).eval()

    with torch.no_grad():
        for name, parameter in tiny.named_parameters():
            parameter.mul_(3.0 if "encoder_decoder_attn" in name else 2.0)

        index = tokenizer().vocab_info.eos_idx
        assert index is not None

        tiny.final_proj.get_parameter("weight")[index].mul_(1.0 + eos)

    return tiny


def search(
    kls: Any, model: TransformerModel, sources: list[Tensor], *, hook: bool = True, **options: Any
) -> SequenceGeneratorOutput:
    generator = kls(model, tokenizer().vocab_info, **{"max_gen_len": (0, 14), **options})

    if hook:
        ignore_prompt_scores(generator)

    source, layout, _ = padded(sources, 0)

    prefix = tokenizer().create_encoder(lang=DEU, mode="target").prefix_indices
    assert prefix is not None

    prompt = prefix.expand(len(sources), -1)

    output = generator(source, layout, prompt, BatchLayout.of(prompt))

    assert isinstance(output, SequenceGeneratorOutput)

    return output


def check_same(actual: SequenceGeneratorOutput, expected: SequenceGeneratorOutput) -> None:
    assert tokens(actual.hypotheses) == tokens(expected.hypotheses)

    for ours_, theirs in zip(actual.hypotheses, expected.hypotheses, strict=True):
        for a, b in zip(ours_, theirs, strict=True):
            torch.testing.assert_close(a.score, b.score, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(a.step_scores, b.step_scores, rtol=1e-5, atol=1e-4)


def tokens(hypotheses: list[list[Hypothesis]]) -> list[list[list[int]]]:
    return [[h.seq.tolist() for h in sentence] for sentence in hypotheses]


def sources(num: int, seed: int = 0) -> list[Tensor]:
    encode = tokenizer().create_encoder(lang=ENG, mode="source")

    chooser = random.Random(seed)

    return [encode(text)[: chooser.randint(3, 30)] for text in texts(num)]


def test_many_sentences_are_translated_as_by_fairseq2() -> None:
    different = set()
    lens: set[int] = set()

    for seed in range(2):
        tiny, batch = lively(seed), sources(120, seed)

        actual = search(BatchedBeamSearchGenerator, tiny, batch)

        check_same(actual, search(BeamSearchSeq2SeqGenerator, tiny, batch))

        for sentence in tokens(actual.hypotheses):
            different.add(tuple(sentence[0]))
            lens.update(len(seq) for seq in sentence)

    # Or there would be little to compare.
    assert len(different) > 100
    assert len(lens) > 8


@pytest.mark.parametrize(
    "options",
    [
        {"beam_size": 1},
        {"beam_size": 2, "echo_prompt": True},
        {"beam_size": 8, "normalize_scores": False},
        {"len_penalty": 0.3, "unk_penalty": 2.0},
        {"len_penalty": 2.0, "temperature": 1.7},
        {"min_gen_len": 6, "max_gen_len": (0.5, 3)},
        {"min_gen_len": 5, "max_gen_len": (0, 5)},
        {"max_gen_len": (0, 1)},
        {"max_seq_len": 6},
        {"hook": False},
        {"no_repeat_ngram": 2},
    ],
    ids=str,
)
def test_every_option_means_what_it_means_in_fairseq2(options: dict[str, Any]) -> None:
    tiny, batch = lively(2), sources(40)

    if (size := options.get("no_repeat_ngram")) is not None:
        options = {"step_processors": [NGramRepeatBlockProcessor(size)]}

    check_same(
        search(BatchedBeamSearchGenerator, tiny, batch, **options),
        search(BeamSearchSeq2SeqGenerator, tiny, batch, **options),
    )


@pytest.mark.parametrize("num", [1, 2])
def test_one_sentence_and_sentences_without_padding(num: int) -> None:
    tiny = lively(1)

    batch = [source[:3] for source in sources(num)]

    check_same(
        search(BatchedBeamSearchGenerator, tiny, batch),
        search(BeamSearchSeq2SeqGenerator, tiny, batch),
    )


def test_the_model_is_left_as_it_was() -> None:
    tiny, batch = lively(1), sources(8)

    pairs = random_pairs(4)

    seqs, layout, _ = padded(list(pairs.source), 0)

    before = tiny(seqs, layout, seqs, layout)

    search(BatchedBeamSearchGenerator, tiny, batch)

    assert torch.equal(tiny(seqs, layout, seqs, layout), before)

    for module in tiny.modules():
        assert not module._forward_pre_hooks and not module._forward_hooks


def test_a_hook_sees_the_open_hypotheses() -> None:
    seen: dict[Any, list[Any]] = {}

    for kls in (BatchedBeamSearchGenerator, BeamSearchSeq2SeqGenerator):
        generator = kls(lively(3), tokenizer().vocab_info, beam_size=3, max_gen_len=(0, 9))

        calls = seen.setdefault(kls, [])

        def hook(
            prompt_indices: Tensor,
            seqs: Tensor,
            step_scores: Tensor | None,
            prefill: bool,
            calls: list[Any] = calls,
        ) -> None:
            calls.append((prompt_indices.tolist(), seqs.tolist(), prefill))

        generator.register_step_hook(hook)

        source, layout, _ = padded(sources(20), 0)

        prefix = tokenizer().create_encoder(lang=DEU, mode="target").prefix_indices
        assert prefix is not None

        prompt = prefix.expand(20, -1)

        generator(source, layout, prompt, BatchLayout.of(prompt))

    ours_, theirs = seen.values()

    assert len(ours_) > 5
    assert ours_ == theirs


def test_nan_ends_the_search_and_leaves_no_hook() -> None:
    tiny = lively(1)

    with torch.no_grad():
        for parameter in tiny.decoder.parameters():
            parameter.fill_(torch.nan)

    with pytest.raises(SequenceGenerationError):
        search(BatchedBeamSearchGenerator, tiny, sources(3))

    assert not any(module._forward_pre_hooks for module in tiny.modules())


def test_what_it_cannot_do_is_told() -> None:
    tiny = lively(1)

    generator = BatchedBeamSearchGenerator(tiny, tokenizer().vocab_info)

    source, layout, _ = padded(sources(2), 0)

    prompt, prompt_layout, _ = padded([torch.tensor([3, 4]), torch.tensor([3])], 0)

    with pytest.raises(NotSupportedError, match="of one length"):
        generator(source, layout, prompt, prompt_layout)

    with pytest.raises(ValueError, match="at least 2000 tokens"):
        BatchedBeamSearchGenerator(tiny, tokenizer().vocab_info, beam_size=1000)

    for layer in tiny.decoder.layers:
        layer.compile()

    with pytest.raises(NotSupportedError, match="compiled"):
        BatchedBeamSearchGenerator(tiny, tokenizer().vocab_info)
