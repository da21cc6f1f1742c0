"""Both products are those of whole gradients with whole directions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fairseq2_jest.influence import products
from fairseq2_jest.influence.directions import LayerDirections
from fairseq2_jest.influence.gradients import LayerTokens
from fairseq2_jest.influence.products import (
    DirectionProduct,
    ThinProduct,
    WholeProduct,
    create_product,
)

NUM_PAIRS, NUM_SEEDS, OUTPUT_DIM, INPUT_DIM, RANK = 5, 3, 7, 4, 2


def random_directions(
    num_seeds: int = NUM_SEEDS,
    output_dim: int = OUTPUT_DIM,
    input_dim: int = INPUT_DIM,
    rank: int = RANK,
) -> LayerDirections:
    generator = torch.Generator().manual_seed(1)

    norms = torch.ones(num_seeds)

    return LayerDirections(
        left=torch.randn(num_seeds, output_dim, rank, generator=generator),
        right=torch.randn(num_seeds, input_dim, rank, generator=generator),
        energy=norms,
        kept=norms,
    )


@pytest.fixture
def tokens() -> LayerTokens:
    """The third pair has no token that counts for this layer."""
    pairs = torch.tensor([0, 0, 0, 1, 3, 3, 4])

    generator = torch.Generator().manual_seed(2)

    return LayerTokens(
        inputs=torch.randn(len(pairs), INPUT_DIM, generator=generator),
        gradients=torch.randn(len(pairs), OUTPUT_DIM, generator=generator),
        pairs=pairs,
        counted=torch.ones(len(pairs), dtype=torch.bool),
    )


@pytest.mark.parametrize("kind", [ThinProduct, WholeProduct])
@pytest.mark.parametrize("max_elements", [1, 20, 1 << 24])
def test_products_are_those_of_whole_gradients(
    kind: type[ThinProduct] | type[WholeProduct],
    max_elements: int,
    tokens: LayerTokens,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(products, "_MAX_ELEMENTS", max_elements)

    directions = random_directions()

    found = kind(directions)(tokens, NUM_PAIRS)

    torch.testing.assert_close(found, expected(tokens, directions))
    assert not found[2].any()


def expected(tokens: LayerTokens, directions: LayerDirections) -> Tensor:
    whole = torch.einsum("tor,tir->toi", directions.left, directions.right)

    of_positions = torch.einsum("po,pi,toi->pt", tokens.gradients, tokens.inputs, whole)

    return torch.zeros(NUM_PAIRS, NUM_SEEDS).index_add(0, tokens.pairs, of_positions)


@pytest.mark.parametrize(
    ("num_seeds", "output_dim", "input_dim", "rank", "kind"),
    [
        # A tiny NLLB.
        (128, 256, 64, 16, WholeProduct),
        # NLLB 600M, whose directions would not fit.
        (256, 8192, 1024, 16, ThinProduct),
        # Next to no directions.
        (1, 256, 64, 1, ThinProduct),
    ],
)
def test_the_cheaper_one_is_taken(
    num_seeds: int, output_dim: int, input_dim: int, rank: int, kind: type[DirectionProduct]
) -> None:
    directions = random_directions(num_seeds, output_dim, input_dim, rank)

    assert type(create_product(directions)) is kind
