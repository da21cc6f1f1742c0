"""The slow way: one pair at a time, whole gradients by autograd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from fairseq2.models.clm import CausalLM
from fairseq2.models.transformer import TransformerModel
from fairseq2.nn import BatchLayout
from torch import Tensor
from torch.nn.functional import cross_entropy

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.curvature import LayerCurvature
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.directions import (
    LayerDirections,
    SeedCores,
    directions_of,
    seed_cores,
)
from fairseq2_jest.influence.fitting import in_order
from fairseq2_jest.influence.gradients import BatchGradients, GradientPass
from fairseq2_jest.influence.layer_tensors import from_tensors, to_tensors
from fairseq2_jest.influence.layers import LayersConfig, TrackedLayer, find_layers
from fairseq2_jest.influence.model import PairModel
from fairseq2_jest.influence.subspace import ModeSums, find_subspaces
from tests.unit.language_models import language_model, language_tokenizer
from tests.unit.tiny import model, tokenizer

CPU = torch.device("cpu")

ALL_FFN = LayersConfig(stride=1)

KINDS = ("nllb", "llama", "mistral", "hg")


def gradient_pass(
    learner: TransformerModel | CausalLM, config: LayersConfig = ALL_FFN, max_num_tokens: int = 90
) -> GradientPass:
    pairs = PairModel(
        learner,
        tokenizer() if isinstance(learner, TransformerModel) else language_tokenizer(),
        device=CPU,
        max_num_tokens=max_num_tokens,
    )

    return GradientPass(pairs, find_layers(learner, config), device=CPU)


def trained_model(seed: int = 0) -> TransformerModel:
    """An NLLB whose biases are not zero."""
    learner = trained("nllb", seed)

    assert isinstance(learner, TransformerModel)

    return learner


def trained(kind: str, seed: int = 0) -> TransformerModel | CausalLM:
    """A model of one of :data:`KINDS`, none of whose parameters are zero."""
    learner = model(seed) if kind == "nllb" else language_model(kind, seed)

    generator = torch.Generator().manual_seed(seed)

    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))

    return learner


def losses_alone(
    learner: TransformerModel | CausalLM, pairs: TokenizedPairs, index: int
) -> tuple[Tensor, Tensor]:
    """The logits and the labels of one pair's response, of a model in eval mode."""
    if isinstance(learner, CausalLM):
        return _response_alone(learner, pairs, index)

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


def _response_alone(learner: CausalLM, pairs: TokenizedPairs, index: int) -> tuple[Tensor, Tensor]:
    info = language_tokenizer().vocab_info

    sequence = torch.cat(
        [
            torch.tensor([info.bos_idx]),
            pairs.source[index],
            pairs.target[index],
            torch.tensor([info.eos_idx]),
        ]
    )

    inputs = sequence[None, :-1]

    logits = learner.eval()(inputs, BatchLayout.of(inputs))

    response_len = len(pairs.target[index]) + 1

    return logits[0, -response_len:], sequence[-response_len:]


def gradients_alone(
    learner: TransformerModel | CausalLM,
    layers: Sequence[TrackedLayer],
    pairs: TokenizedPairs,
    index: int,
    reduction: str = "mean",
) -> dict[str, Tensor]:
    """The gradient of ``[W b]`` of each layer, or of ``W``, of one pair's loss."""
    logits, labels = losses_alone(learner, pairs, index)

    loss = cross_entropy(logits, labels, reduction=reduction)

    parameters = [
        layer.module.get_parameter(name)
        for layer in layers
        for name in (("weight", "bias") if layer.has_bias else ("weight",))
    ]

    gradients = iter(torch.autograd.grad(loss, parameters))

    return {
        layer.name: torch.cat([next(gradients), next(gradients)[:, None]], dim=1)
        if layer.has_bias
        else next(gradients)
        for layer in layers
    }


def directions_from(
    batches: Sequence[BatchGradients],
    layers: Sequence[TrackedLayer],
    curvatures: Mapping[str, LayerCurvature],
    damping: DampingConfig,
    *,
    max_discarded: float = 0.0,
    rank: int | None = None,
) -> tuple[dict[str, SeedCores], dict[str, LayerDirections]]:
    """Seeds in the order of their places, and what pairs are multiplied by."""
    sums = ModeSums.zeros(layers, rank, CPU, torch.float32)

    for batch in batches:
        sums.add(batch.layers, curvatures, damping)

    subspaces = find_subspaces(layers, [sums], max_discarded=max_discarded, rank=rank, device=CPU)

    tensors = in_order(
        batches, lambda batch: to_tensors(seed_cores(batch, curvatures, subspaces, damping))
    )

    seeds = from_tensors(SeedCores, tensors, CPU)

    cores = {name: layer.cores for name, layer in seeds.items()}

    return seeds, directions_of(cores, curvatures, subspaces)


def by_pair(batches: Sequence[BatchGradients], num_pairs: int) -> list[dict[str, Tensor]]:
    """The whole gradient of each pair."""
    found: dict[int, dict[str, Tensor]] = {}

    for batch in batches:
        assert found.keys().isdisjoint(batch.places)

        for name, tokens in batch.layers.items():
            for place, gradient in zip(batch.places, tokens.each_gradient(), strict=True):
                found.setdefault(place, {})[name] = gradient

    return [found[i] for i in range(num_pairs)]
