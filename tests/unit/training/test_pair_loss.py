from __future__ import annotations

import pytest
import torch
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.nn import BatchLayout
from fairseq2.nn.functional import cross_entropy
from torch import Tensor
from torch.nn import Module, Parameter

from fairseq2_jest.embedding.prompting import PromptFormat
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.training.pair_loss import ResponseLoss
from tests.unit.influence.dense import losses_alone
from tests.unit.language_models import language_model, language_tokenizer
from tests.unit.tiny import random_pairs

KINDS = ("llama", "mistral", "hg")


def batch_of(pairs: TokenizedPairs) -> Seq2SeqBatch:
    tokenizer = language_tokenizer()

    batcher = MicroBatcher(tokenizer, max_num_tokens=10_000, pair_format=PromptFormat(tokenizer))

    return batcher.collate(pairs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_a_batch_loses_what_its_responses_lose_alone(kind: str, label_smoothing: float) -> None:
    model, pairs = language_model(kind).eval(), random_pairs(7)

    result = ResponseLoss()(model, batch_of(pairs), label_smoothing=label_smoothing)

    alone = [losses_alone(model, pairs, i) for i in range(7)]

    expected = sum(
        cross_entropy(logits, labels, None, label_smoothing=label_smoothing)
        for logits, labels in alone
    )

    torch.testing.assert_close(result.loss, expected)

    assert result.num_targets == sum(len(labels) for _, labels in alone)
    assert result.given.num_source_elements == sum(len(body) + 1 for body in pairs.source)


class Table(Module):
    """Says of each position what is written down for it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()

        self.logits = Parameter(torch.zeros(shape))

    def forward(self, seqs: Tensor, layout: BatchLayout) -> Tensor:
        return self.logits


def test_nothing_of_the_prompt_is_in_the_loss() -> None:
    pairs = random_pairs(5)

    prompt_lens = [len(body) + 1 for body in pairs.source]
    response_lens = [len(body) + 1 for body in pairs.target]

    longest = max(p + r for p, r in zip(prompt_lens, response_lens, strict=True)) - 1

    model = Table((5, longest, language_tokenizer().vocab_info.size + 10))

    loss = ResponseLoss()(model, batch_of(pairs), label_smoothing=0.1).loss

    loss.backward()

    assert model.logits.grad is not None

    moved = model.logits.grad.abs().sum(dim=2) > 0

    for row, p, r in zip(moved, prompt_lens, response_lens, strict=True):
        assert row.nonzero().flatten().tolist() == list(range(p - 1, p - 1 + r))

    # What else the prompts might have been, is no matter to such a model.
    other = TokenizedPairs(
        source=[(body + 7) % 100 for body in pairs.source],
        target=pairs.target,
        source_langs=pairs.source_langs,
        target_langs=pairs.target_langs,
    )

    assert ResponseLoss()(model, batch_of(other), label_smoothing=0.1).loss.equal(loss)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_behind_a_response_does_not_matter(kind: str) -> None:
    model, pairs = language_model(kind).eval(), random_pairs(6)

    batch = batch_of(pairs)

    for seqs, lens in (
        (batch.source_seqs, batch.source_seq_lens),
        (batch.target_seqs, batch.target_seq_lens),
    ):
        for row, length in zip(seqs, lens, strict=True):
            row[length:] = 5

    expected = ResponseLoss()(model, batch_of(pairs))

    torch.testing.assert_close(ResponseLoss()(model, batch).loss, expected.loss)
