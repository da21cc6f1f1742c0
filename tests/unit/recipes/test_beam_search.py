"""The batched beam search as a recipe's config makes it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.generation.beam_search import BeamSearchSeq2SeqGenerator
from fairseq2.nn import BatchLayout
from fairseq2.recipe.config import BeamSearchAlgorithmChoice, BeamSearchConfig
from fairseq2.runtime.dependency import DependencyContainer
from torch.nn import Linear, Module

from fairseq2_jest.recipes.beam_search import create_batched_beam_search
from fairseq2_jest.translation.errors import TranslationError
from tests.unit.tiny import DEU, model, tokenizer


def container_of(module: Module) -> DependencyContainer:
    container = DependencyContainer()

    container.register_instance(Module, module, key="model")
    container.register_instance(Tokenizer, tokenizer())

    return container


def test_the_config_means_what_it_means_for_fairseq2s_search() -> None:
    tiny = model(seed=4).eval()

    config = BeamSearchConfig(
        beam_size=3,
        min_gen_len=2,
        max_gen_len=(0.5, 3),
        max_seq_len=9,
        echo_prompt=True,
        normalize_scores=True,
        temperature=1.3,
        unk_penalty=0.7,
        len_penalty=0.4,
    )

    theirs = BeamSearchSeq2SeqGenerator(
        tiny,
        tokenizer().vocab_info,
        beam_size=3,
        min_gen_len=2,
        max_gen_len=(0.5, 3),
        max_seq_len=9,
        echo_prompt=True,
        temperature=1.3,
        unk_penalty=0.7,
        len_penalty=0.4,
    )

    sources = torch.randint(10, 40, (4, 12), generator=torch.Generator().manual_seed(1))

    prefix = tokenizer().create_encoder(lang=DEU, mode="target").prefix_indices
    assert prefix is not None

    prompts = prefix.expand(4, -1)

    args = sources, BatchLayout.of(sources), prompts, BatchLayout.of(prompts)

    found, expected = (
        [[(h.seq.tolist(), round(float(h.score or 0.0), 4)) for h in hyps] for hyps in output]
        for output in (
            create_batched_beam_search(container_of(tiny), config)(*args).hypotheses,
            theirs(*args).hypotheses,
        )
    )

    assert found == expected
    assert all(len(hyps) == 3 for hyps in found)


def test_a_number_bounds_the_length_whatever_the_source() -> None:
    generator = create_batched_beam_search(
        container_of(model(seed=1)), BeamSearchConfig(max_gen_len=5)
    )

    sources = torch.full((1, 20), 11)
    prompts = torch.tensor([[3, 4]])

    output = generator(sources, BatchLayout.of(sources), prompts, BatchLayout.of(prompts))

    assert {len(h.seq) for h in output.hypotheses[0]} <= {1, 2, 3, 4, 5}


def compiled() -> Module:
    tiny = model(seed=1)

    for layer in tiny.decoder.layers:
        layer.compile()

    return tiny


@pytest.mark.parametrize(
    ("make", "config", "message"),
    [
        (lambda: Linear(2, 2), BeamSearchConfig(), "with a Linear; set seq2seq_generator.name to"),
        (compiled, BeamSearchConfig(), r"is compiled\); set seq2seq_generator.name to beam_search"),
        (
            model,
            BeamSearchConfig(algo=BeamSearchAlgorithmChoice(name="mine")),
            "no algorithm mine .*; set seq2seq_generator.name to beam_search",
        ),
        (model, BeamSearchConfig(beam_size=1000), "config does not fit .* 2000 tokens"),
    ],
)
def test_what_it_cannot_search_with_is_told_with_the_way_out(
    make: Callable[[], Module], config: BeamSearchConfig, message: str
) -> None:
    with pytest.raises(TranslationError, match=message):
        create_batched_beam_search(container_of(make()), config)
