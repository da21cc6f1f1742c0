"""The learner's views of language models."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from fairseq2.device import CPU
from fairseq2.models.clm import CausalLM
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.models.causal_lm import CausalParts
from tests.unit.influence.dense import losses_alone
from tests.unit.language_models import language_model, language_tokenizer
from tests.unit.tiny import random_pairs, tokenizer

KINDS = ("llama", "mistral", "hg")


def forward_pass(model: CausalLM, max_num_tokens: int = 90) -> ForwardPass:
    return ForwardPass(model, device=CPU, max_num_tokens=max_num_tokens)


@torch.no_grad()
def embedding_alone(model: CausalLM, body: Tensor) -> Tensor:
    bos = language_tokenizer().vocab_info.bos_idx

    seqs = torch.cat([torch.tensor([bos]), body])[None]

    hidden = CausalParts(model.eval()).hidden(seqs, BatchLayout.of(seqs))

    return normalize(hidden[0, 1:].mean(dim=0), dim=0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_side_is_the_mean_of_its_last_hidden_states(kind: str) -> None:
    model, pairs = language_model(kind), random_pairs(6)

    learner = LearnerEncoder(forward_pass(model), language_tokenizer())

    # A prompt is not looked at.
    asked = replace(pairs, prompt=[torch.cat([body, body]) for body in pairs.source])

    for embeddings, bodies in (
        (learner.encode_source(asked), pairs.source),
        (learner.encode_target(asked), pairs.target),
    ):
        expected = torch.stack([embedding_alone(model, body) for body in bodies])

        torch.testing.assert_close(embeddings, expected, rtol=1e-4, atol=1e-5)

    assert learner.num_tokens(asked) == sum(len(b) + 1 for b in [*pairs.source, *pairs.target])


@pytest.mark.parametrize("kind", ["llama", "mistral"])
def test_all_layers_are_the_model(kind: str) -> None:
    model, pairs = language_model(kind), random_pairs(5)

    whole, early, layers = (
        LearnerEncoder(forward_pass(model), language_tokenizer(), num_layers=num)
        for num in (None, 1, 2)
    )

    assert layers.encode_source(pairs).equal(whole.encode_source(pairs))
    assert not torch.allclose(early.encode_source(pairs), whole.encode_source(pairs))
    assert early.share_of_layers == 0.5

    with pytest.raises(EmbeddingError, match=r"num_learner_layers is 3, but the model has 2 lay"):
        LearnerEncoder(forward_pass(model), language_tokenizer(), num_layers=3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_that_of_the_response(kind: str) -> None:
    model = language_model(kind)

    pairs = replace(
        random_pairs(6), prompt=[torch.arange(20, 20 + length) for length in (3, 9, 5, 4, 12, 7)]
    )

    scorer = TranslationLoss(forward_pass(model), language_tokenizer())

    assert pairs.prompt is not None

    asked = replace(pairs, source=pairs.prompt, prompt=None)

    with torch.no_grad():
        alone = torch.stack(
            [cross_entropy(*losses_alone(model, asked, i)) for i in range(len(pairs))]
        )

    torch.testing.assert_close(
        scorer.score(pairs), alone / torch.tensor(CausalParts(model).vocab_size).log()
    )

    given, predicted = scorer.num_tokens(pairs)

    # Of a prompt with its beginning all but the last token, from which there is a prediction.
    assert given == sum(len(prompt) for prompt in pairs.prompt)
    assert predicted == sum(len(body) + 1 for body in pairs.target)


def test_a_prompt_is_never_cut() -> None:
    pairs = replace(random_pairs(4), prompt=[torch.arange(30, 50)] * 4)

    cut = pairs.cut(3)

    assert cut.prompt == pairs.prompt
    assert max(len(body) for body in [*cut.source, *cut.target]) == 3


def test_a_tokenizer_of_translation_models_is_told() -> None:
    with pytest.raises(EmbeddingError, match=r"not one of a language model: it makes no prompts"):
        TranslationLoss(forward_pass(language_model("llama")), tokenizer())
