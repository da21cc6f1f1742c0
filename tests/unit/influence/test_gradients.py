"""Gradients in factors are those of autograd, pair by pair, however pairs are batched."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from fairseq2_jest.influence.capture import Capture
from fairseq2_jest.influence.errors import InfluenceError
from fairseq2_jest.influence.gradients import Reduction
from fairseq2_jest.influence.labels import sample_labels, uniforms
from fairseq2_jest.influence.layers import LayersConfig, find_layers, last_block
from tests.unit.influence.dense import (
    KINDS,
    by_pair,
    gradient_pass,
    gradients_alone,
    losses_alone,
    trained,
    trained_model,
)
from tests.unit.tiny import model, random_pairs

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("max_num_tokens", [1, 90, 10_000])
def test_they_are_autograds(kind: str, reduction: Reduction, max_num_tokens: int) -> None:
    learner, pairs = trained(kind), random_pairs(7)

    run = gradient_pass(learner, max_num_tokens=max_num_tokens)

    found = by_pair(list(run.run(pairs, range(7), reduction=reduction)), 7)

    for index in range(7):
        expected = gradients_alone(learner, run.layers, pairs, index, reduction)

        assert len(expected) == 6

        for name, gradient in expected.items():
            assert gradient.norm() > 1e-6
            torch.testing.assert_close(found[index][name], gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("target_lens", [(9, 4), (5, 4)], ids=["as long", "shorter"])
def test_attention_to_the_encoder_has_the_positions_of_what_it_reads(
    target_lens: tuple[int, ...],
) -> None:
    learner, pairs = trained_model(), random_pairs(2)

    # Padding is elsewhere in the source than in the target, however long both are together.
    pairs = replace(
        pairs,
        source=[torch.arange(10, 10 + length) for length in (3, 9)],
        target=[torch.arange(30, 30 + length) for length in target_lens],
    )

    config = LayersConfig(pattern=r".*layers\.(?P<layer>\d+)\..*_proj", stride=1)

    run = gradient_pass(learner, config, max_num_tokens=10_000)

    found = by_pair(list(run.run(pairs, range(2), reduction="mean")), 2)

    for index in range(2):
        expected = gradients_alone(learner, run.layers, pairs, index)

        assert "decoder.layers.0.encoder_decoder_attn.k_proj" in expected

        for name, gradient in expected.items():
            torch.testing.assert_close(found[index][name], gradient, rtol=1e-4, atol=1e-6)


def test_mean_is_sum_by_the_length_of_the_response() -> None:
    learner, pairs = trained_model(), random_pairs(5)

    run = gradient_pass(learner)

    means, sums = (by_pair(list(run.run(pairs, range(5), reduction=r)), 5) for r in ("mean", "sum"))

    for index in range(5):
        num_tokens = len(losses_alone(learner, pairs, index)[1])

        for name in means[index]:
            torch.testing.assert_close(
                means[index][name] * num_tokens, sums[index][name], rtol=1e-4, atol=1e-6
            )


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_no_gradient_at_padding(kind: str) -> None:
    pairs = random_pairs(9)

    (batch,) = gradient_pass(trained(kind), max_num_tokens=10_000).run(
        pairs, range(9), reduction="sum"
    )

    for tokens in batch.layers.values():
        padding = ~tokens.positions.present

        assert padding.any()
        assert not tokens.gradients[padding].any()
        assert tokens.gradients[tokens.positions.counted].any()


def test_padding_has_no_positions_and_the_prompt_is_not_counted() -> None:
    pairs = random_pairs(9)

    (batch,) = gradient_pass(trained_model(), max_num_tokens=10_000).run(
        pairs, range(9), reduction="sum"
    )

    learner = trained_model()

    labels = [losses_alone(learner, pairs, i)[1] for i in batch.places]

    for name, tokens in batch.layers.items():
        present, counted = (
            where.sum(dim=1) for where in (tokens.positions.present, tokens.positions.counted)
        )

        if name.startswith("decoder"):
            assert counted.tolist() == [len(wanted) for wanted in labels]
            # The position that predicts the language is given.
            assert (present - counted).tolist() == [1] * 9
        else:
            # Language and end stand beside the text.
            assert present.tolist() == [len(pairs.source[i]) + 2 for i in batch.places]
            assert torch.equal(tokens.positions.counted, tokens.positions.present)


def test_sampled_labels_do_not_depend_on_the_batch() -> None:
    learner, pairs = trained_model(), random_pairs(6)

    rows = [40, 41, 7, 3, 9, 100]

    wide, narrow = (
        by_pair(
            list(
                gradient_pass(learner, max_num_tokens=size).run(
                    pairs, rows, reduction="sum", label_seed=5
                )
            ),
            6,
        )
        for size in (1, 10_000)
    )

    empirical = by_pair(list(gradient_pass(learner).run(pairs, rows, reduction="sum")), 6)

    for index in range(6):
        for name in wide[index]:
            torch.testing.assert_close(wide[index][name], narrow[index][name], rtol=1e-4, atol=1e-6)

        assert not torch.allclose(wide[index][name], empirical[index][name], rtol=0.1)


def test_sampled_labels_give_the_gradient_of_these_labels() -> None:
    learner, pairs = trained_model(), random_pairs(1)

    run = gradient_pass(learner)

    (found,) = by_pair(list(run.run(pairs, [12], reduction="sum", label_seed=3)), 1)

    logits, labels = losses_alone(learner, pairs, 0)

    labels = sample_labels(logits.detach(), uniforms(3, [12], [len(labels)]))

    gradients = torch.autograd.grad(
        cross_entropy(logits, labels, reduction="sum"),
        [layer.module.get_parameter("weight") for layer in run.layers],
    )

    for layer, gradient in zip(run.layers, gradients, strict=True):
        torch.testing.assert_close(found[layer.name][:, :-1], gradient, rtol=1e-4, atol=1e-6)


def test_labels_are_drawn_as_the_model_predicts() -> None:
    logits = torch.tensor([0.1, 0.0, 0.6, 0.3]).log().expand(40_000, 4)

    drawn = sample_labels(logits, uniforms(0, range(4_000), [10] * 4_000))

    shares = torch.bincount(drawn, minlength=4) / len(drawn)

    torch.testing.assert_close(shares, torch.tensor([0.1, 0.0, 0.6, 0.3]), atol=0.01, rtol=0.0)
    assert shares[1] == 0.0


def test_the_model_is_left_as_it_was_and_nothing_below_is_recorded() -> None:
    learner = trained_model().train()

    run = gradient_pass(learner, LayersConfig(stride=2))

    assert [layer.name for layer in run.layers] == [
        "encoder.layers.1.ffn.inner_proj",
        "encoder.layers.1.ffn.output_proj",
    ]

    recorded = []

    handle = learner.get_submodule("encoder.layers.0").register_forward_hook(
        lambda module, inputs, output: recorded.append(output.requires_grad)
    )

    before = {name: weight.clone() for name, weight in learner.state_dict().items()}

    with torch.no_grad():
        list(run.run(random_pairs(3), range(3), reduction="mean"))

    handle.remove()

    assert recorded == [False]
    assert all(module.training for module in learner.modules())
    assert all(p.requires_grad and p.grad is None for p in learner.parameters())
    assert not any(m._forward_hooks for m in learner.modules())

    for name, weight in learner.state_dict().items():
        assert torch.equal(weight, before[name])


def test_what_is_not_finite_is_told() -> None:
    learner = trained_model()

    with torch.no_grad():
        learner.get_parameter("encoder.layers.1.ffn.output_proj.bias")[3] = float("nan")

    with pytest.raises(InfluenceError, match=r"is not finite for row 1[12]; check the model"):
        list(gradient_pass(learner).run(random_pairs(2), [11, 12], reduction="mean"))


def test_layers_are_found_by_pattern_and_stride() -> None:
    learner = model()

    layers = find_layers(learner, LayersConfig(stride=1))

    assert [layer.name for layer in layers][::2] == [
        "encoder.layers.0.ffn.inner_proj",
        "encoder.layers.1.ffn.inner_proj",
        "decoder.layers.0.ffn.inner_proj",
    ]
    assert (layers[0].input_dim, layers[0].output_dim, layers[0].stack) == (17, 32, "encoder")
    assert [layer.name for layer in last_block(layers)] == [
        "decoder.layers.0.ffn.inner_proj",
        "decoder.layers.0.ffn.output_proj",
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LayersConfig(stride=3), "layers.stride is 3, but .* lower it to 2 at most"),
        (
            LayersConfig(pattern=r"model\.(?P<layer>\d+)", stride=1),
            r"matches no layer; mend it, so that it matches names such as encoder",
        ),
        (
            LayersConfig(pattern=r"encoder\.layers\.(?P<layer>\d+)\.ffn", stride=1),
            "is no linear layer but a StandardFeedForwardNetwork",
        ),
    ],
)
def test_wrong_layers_are_told(config: LayersConfig, message: str) -> None:
    with pytest.raises(InfluenceError, match=message):
        find_layers(model(), config)


def test_a_layer_that_runs_twice_or_never_is_told() -> None:
    layers = find_layers(model(), LayersConfig(stride=1))[:1]

    module = layers[0].module

    with Capture(layers) as capture:
        with pytest.raises(InfluenceError, match=r"does not use encoder\.layers\.0"):
            _ = capture.outputs

        module(torch.zeros(1, 1, 16))

        with pytest.raises(InfluenceError, match="twice in a pass"):
            module(torch.zeros(1, 1, 16))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (LayersConfig(pattern="("), "no regular expression"),
        (LayersConfig(pattern="a"), "must have a group `layer`"),
        (LayersConfig(stride=0), "must be at least 1"),
    ],
)
def test_config_is_checked(config: LayersConfig, message: str) -> None:
    assert message in str(config.validate())
