"""The learner's loss of a pair: what it computes, and what it counts."""

from __future__ import annotations

import math

import pytest
import torch
from fairseq2.device import CPU
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn.functional import cross_entropy

from fairseq2_jest.embedding import translation_loss
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from tests.unit.tiny import model, random_pairs, tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")


def loss_of(learner: TransformerModel, max_num_tokens: int = 90) -> TranslationLoss:
    return TranslationLoss(
        ForwardPass(learner, device=CPU, max_num_tokens=max_num_tokens), tokenizer()
    )


def loss_alone(
    learner: TransformerModel, source: Tensor, target: Tensor, langs: tuple[str, str]
) -> float:
    """One pair, no padding: the whole model's logits, the text and its end predicted."""
    encoders = [
        tokenizer().create_encoder(lang=lang, mode=mode)
        for lang, mode in zip(langs, ("source", "target"), strict=True)
    ]

    sequences = []

    for encoder, body in zip(encoders, (source, target), strict=True):
        assert encoder.prefix_indices is not None and encoder.suffix_indices is not None

        sequences.append(torch.cat([encoder.prefix_indices, body, encoder.suffix_indices])[None])

    source, target = sequences

    assert encoders[1].prefix_indices is not None
    num_given = len(encoders[1].prefix_indices)

    learner.eval()

    with torch.no_grad():
        logits = learner(
            source, BatchLayout.of(source), target[:, :-1], BatchLayout.of(target[:, :-1])
        )

    losses = cross_entropy(logits[0], target[0, 1:], reduction="none")[num_given - 1 :]

    return float(losses.mean()) / math.log(logits.size(-1))


@pytest.mark.parametrize("num_logit_rows", [7, 1024])
def test_it_is_the_mean_over_the_target_of_each_pair_alone(
    num_logit_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation_loss, "NUM_LOGIT_ROWS", num_logit_rows)

    learner, pairs = model(), random_pairs(13)

    losses = loss_of(learner).score(pairs)

    expected = [
        loss_alone(learner, *pair)
        for pair in zip(
            pairs.source,
            pairs.target,
            zip(pairs.source_langs, pairs.target_langs, strict=True),
            strict=True,
        )
    ]

    assert losses.tolist() == pytest.approx(expected, abs=1e-5)
    # A model with random weights is about as uncertain as one can be.
    assert 0.8 < float(losses.mean()) < 1.6


def test_neither_the_budget_nor_the_neighbours_matter() -> None:
    learner, pairs = model(), random_pairs(11)

    losses = loss_of(learner, 1_000).score(pairs)

    torch.testing.assert_close(loss_of(learner, 30).score(pairs), losses)
    torch.testing.assert_close(loss_of(learner).score(pairs.take([4, 2])), losses[[4, 2]])


def test_the_model_is_left_as_it_was() -> None:
    learner = model()
    learner.train()

    before = {name: weight.clone() for name, weight in learner.state_dict().items()}
    state = torch.get_rng_state()

    losses = loss_of(learner).score(random_pairs(5))

    assert not losses.requires_grad
    assert all(module.training for module in learner.modules())
    assert torch.equal(torch.get_rng_state(), state)
    for name, weight in learner.state_dict().items():
        assert torch.equal(weight, before[name])


def test_tokens_are_all_that_pass_through() -> None:
    learner, pairs = model(), random_pairs(9)

    info, passed = tokenizer().vocab_info, []

    # Both stacks have the same; it is the encoder's turn first.
    assert learner.encoder_frontend is learner.decoder_frontend

    learner.encoder_frontend.register_forward_pre_hook(lambda _, inputs: passed.append(inputs[0]))

    loss = loss_of(learner)
    loss.score(pairs)

    sources, targets = (
        sum(int((tokens != info.pad_idx).sum()) for tokens in passed[side::2]) for side in (0, 1)
    )

    # What ends a target predicts nothing: it is padding, too.
    ends = sum(int((tokens[:, 1:] == info.eos_idx).sum()) for tokens in passed[1::2])

    assert loss.num_tokens(pairs) == (sources, targets - ends)


def test_a_model_of_neither_kind_is_refused() -> None:
    with pytest.raises(EmbeddingError, match="neither an encoder-decoder model nor"):
        TranslationLoss(
            ForwardPass(torch.nn.Linear(1, 1), device=CPU, max_num_tokens=10), tokenizer()
        )
