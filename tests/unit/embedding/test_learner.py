"""The learner's view: what it computes, and that it leaves no trace in the model."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from fairseq2.data.tokenizers import Tokenizer, VocabularyInfo
from fairseq2.device import CPU
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn import Module

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.tokens import TokenizedPairs
from tests.unit.tiny import DEU, ENG, model, random_pairs, tokenizer

pytestmark = pytest.mark.usefixtures("one_thread")


def learner_of(
    learner: Module, *, max_num_tokens: int = 120, dtype: torch.dtype | None = None
) -> LearnerEncoder:
    return LearnerEncoder(
        ForwardPass(learner, device=CPU, max_num_tokens=max_num_tokens, autocast_dtype=dtype),
        tokenizer(),
    )


def embed_alone(learner: TransformerModel, body: Tensor, lang: str) -> Tensor:
    """One sentence, no padding, no mask: the mean over what lies between the special tokens."""
    vocabulary = tokenizer().create_encoder(lang=lang, mode="source")

    assert vocabulary.prefix_indices is not None and vocabulary.suffix_indices is not None

    prefix, suffix = vocabulary.prefix_indices, vocabulary.suffix_indices

    tokens = torch.cat([prefix, body, suffix]).unsqueeze(0)

    with torch.no_grad():
        hidden, layout = learner.encoder_frontend(tokens, BatchLayout.of(tokens))

        (output,) = learner.encoder(hidden, layout)

    mean = output[len(prefix) : len(prefix) + len(body)].mean(dim=0)

    unit: Tensor = mean / mean.norm()

    return unit


def test_it_is_the_mean_over_the_text_of_each_sentence_alone() -> None:
    learner, pairs = model(), random_pairs(17)

    encoder = learner_of(learner)

    source, target = encoder.encode_source(pairs), encoder.encode_target(pairs)

    learner.eval()

    for bodies, langs, embeddings in (
        (pairs.source, pairs.source_langs, source),
        (pairs.target, pairs.target_langs, target),
    ):
        expected = torch.stack(
            [embed_alone(learner, body, lang) for body, lang in zip(bodies, langs, strict=True)]
        )

        torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=0.0)

    assert source.shape == (17, encoder.dim) == (17, 16)
    assert source.dtype == torch.float32


def test_batches_and_padding_change_nothing() -> None:
    learner, pairs = model(), random_pairs(23, max_len=30)

    together = learner_of(learner, max_num_tokens=10_000).encode_source(pairs)
    alone = learner_of(learner, max_num_tokens=1).encode_source(pairs)
    in_batches = learner_of(learner, max_num_tokens=70).encode_source(pairs)

    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(together, in_batches, atol=1e-5, rtol=0.0)

    order = list(range(23))[::-1]
    backwards = learner_of(learner, max_num_tokens=70).encode_source(pairs.take(order))

    torch.testing.assert_close(backwards, in_batches[order], atol=1e-5, rtol=0.0)


def test_a_pass_keeps_to_the_budget_of_tokens() -> None:
    learner, pairs = model(), random_pairs(40)

    sizes: list[int] = []

    learner.encoder_frontend.register_forward_hook(
        lambda module, inputs, output: sizes.append(inputs[0].numel())
    )

    learner_of(learner, max_num_tokens=100).encode_source(pairs)

    assert max(sizes) <= 100
    # Like lengths go together, so that the batches are about full.
    assert len(sizes) <= 2 * sum(len(body) + 2 for body in pairs.source) / 100


def test_each_side_has_the_token_of_its_own_language_in_source_mode() -> None:
    body = torch.arange(4, 12)

    pairs = TokenizedPairs(source=[body], target=[body], source_langs=[ENG], target_langs=[DEU])

    learner = model()

    seen: list[Tensor] = []

    learner.encoder_frontend.register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0])
    )

    encoder = learner_of(learner)
    source, target = encoder.encode_source(pairs), encoder.encode_target(pairs)

    for sequences, lang in zip(seen, (ENG, DEU), strict=True):
        expected = tokenizer().create_encoder(lang=lang, mode="source")

        assert expected.prefix_indices is not None and expected.suffix_indices is not None
        assert sequences.tolist() == [
            [*expected.prefix_indices.tolist(), *body.tolist(), *expected.suffix_indices.tolist()]
        ]

    # The text is the same: what tells the two apart is the language's token.
    assert not torch.allclose(source, target, atol=1e-4)


def test_a_text_without_tokens_is_similar_to_nothing() -> None:
    pairs = random_pairs(2)

    empty = TokenizedPairs(
        source=[pairs.source[0], torch.empty(0, dtype=torch.int64)],
        target=pairs.target,
        source_langs=pairs.source_langs,
        target_langs=pairs.target_langs,
    )

    embeddings = learner_of(model()).encode_source(empty)

    assert embeddings[1].tolist() == [0.0] * 16
    assert float(embeddings[0].norm()) == pytest.approx(1.0)


def test_no_pairs_have_no_embeddings() -> None:
    assert learner_of(model()).encode_source(random_pairs(0)).shape == (0, 16)


def modes(learner: Module) -> dict[str, bool]:
    return {name: module.training for name, module in learner.named_modules()}


@pytest.mark.parametrize("training", [True, False])
def test_every_module_has_its_mode_back(training: bool) -> None:
    learner = model().train(training)
    learner.encoder.get_submodule("layers.1").train(not training)
    learner.decoder.get_submodule("layers.0.ffn").train(not training)

    before = modes(learner)
    assert len(set(before.values())) == 2

    learner_of(learner).encode_source(random_pairs(5))

    assert modes(learner) == before


def test_every_module_has_its_mode_back_after_an_error() -> None:
    learner = model()
    learner.encoder.get_submodule("layers.1.ffn").eval()

    before = modes(learner)

    during: list[bool] = []

    def fail(module: Module, inputs: Any) -> None:
        during.append(module.training)

        raise RuntimeError("out of memory")

    learner.encoder.register_forward_pre_hook(fail)

    with pytest.raises(RuntimeError, match="out of memory"):
        learner_of(learner).encode_source(random_pairs(5))

    assert during == [False]
    assert modes(learner) == before


def test_no_gradient_no_parameter_and_no_random_state_is_touched() -> None:
    learner, pairs = model(), random_pairs(9)

    parameters = {name: value.clone() for name, value in learner.state_dict().items()}
    random_state = torch.get_rng_state()

    encoder = learner_of(learner)

    source = encoder.encode_source(pairs)
    again = encoder.encode_source(pairs)

    # With dropout on, neither the two nor the random state would agree.
    torch.testing.assert_close(source, again, atol=0.0, rtol=0.0)
    assert torch.equal(torch.get_rng_state(), random_state)

    assert not source.requires_grad and source.grad_fn is None
    # An inference tensor could not be saved for a backward pass of the selector's own.
    assert not source.is_inference()
    assert all(parameter.grad is None for parameter in learner.parameters())
    assert torch.is_grad_enabled()

    assert learner.state_dict().keys() == parameters.keys()
    for name, value in learner.state_dict().items():
        assert torch.equal(value, parameters[name])


def test_mixed_precision_changes_little_and_stays_inside() -> None:
    learner, pairs = model(), random_pairs(9)

    exact = learner_of(learner).encode_source(pairs)
    rounded = learner_of(learner, dtype=torch.bfloat16).encode_source(pairs)

    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    # bfloat16 has 8 bits, and an embedding's length is 1.
    torch.testing.assert_close(exact, rounded, atol=3e-2, rtol=0.0)
    torch.testing.assert_close(rounded.norm(dim=1), torch.ones(9))
    assert not torch.is_autocast_enabled("cpu")


def test_a_model_of_neither_kind_is_refused_in_a_sentence() -> None:
    expected = r"is a Linear, which is neither an encoder-decoder model nor .*learner_weight to 0"

    with pytest.raises(EmbeddingError, match=expected) as info:
        learner_of(torch.nn.Linear(2, 2))

    assert "\n" not in str(info.value)


def test_a_tokenizer_without_padding_is_refused() -> None:
    info = VocabularyInfo(size=10, unk_idx=1, bos_idx=2, eos_idx=3, pad_idx=None)

    class NoPadding:
        vocab_info = info

    without = cast(Tokenizer, NoPadding())

    with pytest.raises(EmbeddingError, match="no padding token"):
        LearnerEncoder(ForwardPass(model(), device=CPU, max_num_tokens=10), without)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_the_first_layers_alone_are_the_view_of_an_encoder_cut_there(num_layers: int) -> None:
    learner, pairs = model(), random_pairs(7)

    early = LearnerEncoder(
        ForwardPass(learner, device=CPU, max_num_tokens=120), tokenizer(), num_layers=num_layers
    )

    embeddings = early.encode_source(pairs)

    total = len(learner.encoder.layers)

    assert early.share_of_layers == num_layers / total

    learner.encoder.layers = learner.encoder.layers[:num_layers]

    torch.testing.assert_close(learner_of(learner).encode_source(pairs), embeddings)


def test_more_layers_than_there_are_is_refused() -> None:
    with pytest.raises(EmbeddingError, match="num_learner_layers is 9"):
        LearnerEncoder(
            ForwardPass(model(), device=CPU, max_num_tokens=120), tokenizer(), num_layers=9
        )
