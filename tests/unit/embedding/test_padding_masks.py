"""Masks made at once: what a model computes at the tokens of a text stays what it was."""

from __future__ import annotations

import pytest
import torch
from fairseq2.models.transformer import NaiveSDPA, attention_bias
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn import Module

from fairseq2_jest.embedding.padding_masks import batched_padding_masks
from tests.unit.tiny import model, tokenizer

LENGTHS = [9, 6, 6, 1]

pytestmark = pytest.mark.usefixtures("one_thread")


def tokens(lengths: list[int], width: int, seed: int) -> tuple[Tensor, BatchLayout]:
    generator = torch.Generator().manual_seed(seed)

    seqs = torch.randint(
        4, tokenizer().vocab_info.size - 5, (len(lengths), width), generator=generator
    )

    return seqs, BatchLayout.of(seqs, lengths)


@torch.no_grad()
def logits(learner: Module, lengths: list[int], *, width: int = 9) -> Tensor:
    """At the tokens of the targets alone."""
    source, target = tokens(lengths, width, 1), tokens(lengths[::-1], width, 2)

    output: Tensor = learner(*source, *target)

    return torch.cat([row[:length] for row, length in zip(output, lengths[::-1], strict=True)])


@pytest.mark.parametrize("lengths", [LENGTHS, [9, 9, 9, 9], [1, 1, 1, 1]])
def test_the_tokens_of_a_text_do_not_see_the_difference(lengths: list[int]) -> None:
    learner = model().eval()

    expected = logits(learner, lengths)

    with batched_padding_masks(learner):
        torch.testing.assert_close(logits(learner, lengths), expected, atol=1e-5, rtol=0.0)


def test_no_mask_is_made_for_each_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    made = 0

    original = attention_bias._create_block_bias_tensor

    def count(*args: object) -> Tensor:
        nonlocal made

        made += 1

        return original(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(attention_bias, "_create_block_bias_tensor", count)

    learner = model().eval()

    with batched_padding_masks(learner):
        logits(learner, LENGTHS)

    assert made == 0

    # Behind it, the model is as it was: encoder, decoder and cross-attention each make their own.
    logits(learner, LENGTHS)

    assert made == 3 * len(LENGTHS)


def test_attention_that_is_not_torchs_keeps_its_masks() -> None:
    """It adds its masks, and would take these for numbers."""
    learner = model().eval()

    for name, module in list(learner.named_modules()):
        if name.endswith("attn"):
            module.sdpa = NaiveSDPA(module.sdpa.bias)

    expected = logits(learner, LENGTHS)

    with batched_padding_masks(learner):
        assert torch.equal(logits(learner, LENGTHS), expected)


def test_the_hooks_are_gone_after_an_error() -> None:
    learner = model()

    with pytest.raises(RuntimeError, match="stop"), batched_padding_masks(learner):
        assert any(module._forward_pre_hooks for module in learner.modules())

        raise RuntimeError("stop")

    assert not any(module._forward_pre_hooks for module in learner.modules())
