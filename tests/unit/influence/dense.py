"""The slow way: one pair at a time, whole gradients by autograd."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn.functional import cross_entropy

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.encoder_decoder import EncoderDecoder
from fairseq2_jest.influence.gradients import BatchGradients, GradientPass
from fairseq2_jest.influence.layers import LayersConfig, TrackedLayer, find_layers
from tests.unit.tiny import model, tokenizer

ALL_FFN = LayersConfig(stride=1)


def gradient_pass(
    learner: TransformerModel, config: LayersConfig = ALL_FFN, max_num_tokens: int = 90
) -> GradientPass:
    pairs = EncoderDecoder(
        learner, tokenizer(), device=torch.device("cpu"), max_num_tokens=max_num_tokens
    )

    return GradientPass(pairs, find_layers(learner, config), device=torch.device("cpu"))


def trained_model(seed: int = 0) -> TransformerModel:
    """A model whose biases are not zero."""
    learner = model(seed)

    generator = torch.Generator().manual_seed(seed)

    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))

    return learner


def losses_alone(
    learner: TransformerModel, pairs: TokenizedPairs, index: int
) -> tuple[Tensor, Tensor]:
    """The logits and the labels of one pair's response, of a model in eval mode."""
    sequences = []

    for body, lang, mode in (
        (pairs.source[index], pairs.source_langs[index], "source"),
        (pairs.target[index], pairs.target_langs[index], "target"),
    ):
        encoder = tokenizer().create_encoder(lang=lang, mode=mode)

        assert encoder.prefix_indices is not None and encoder.suffix_indices is not None

        sequences.append(torch.cat([encoder.prefix_indices, body, encoder.suffix_indices])[None])

    source, target = sequences

    prefix = encoder.prefix_indices

    assert prefix is not None

    learner.eval()

    logits = learner(source, BatchLayout.of(source), target[:, :-1], BatchLayout.of(target[:, :-1]))

    given = len(prefix) - 1

    return logits[0, given:], target[0, 1 + given :]


def gradients_alone(
    learner: TransformerModel,
    layers: Sequence[TrackedLayer],
    pairs: TokenizedPairs,
    index: int,
    reduction: str = "mean",
) -> dict[str, Tensor]:
    """The gradient of ``[W b]`` of each layer, of one pair's loss."""
    logits, labels = losses_alone(learner, pairs, index)

    loss = cross_entropy(logits, labels, reduction=reduction)

    weights = [layer.module.get_parameter("weight") for layer in layers]
    biases = [layer.module.get_parameter("bias") for layer in layers]

    gradients = torch.autograd.grad(loss, [*weights, *biases])

    return {
        layer.name: torch.cat([weight, bias[:, None]], dim=1)
        for layer, weight, bias in zip(
            layers, gradients[: len(layers)], gradients[len(layers) :], strict=True
        )
    }


def by_pair(batches: Sequence[BatchGradients], num_pairs: int) -> list[dict[str, Tensor]]:
    """The whole gradient of each pair."""
    found: dict[int, dict[str, Tensor]] = {}

    for batch in batches:
        for pair, place in enumerate(batch.places):
            assert place not in found

            found[place] = {name: t.gradient(pair) for name, t in batch.layers.items()}

    return [found[i] for i in range(num_pairs)]
