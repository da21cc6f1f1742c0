from __future__ import annotations

import resource
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fairseq2_jest.selection.errors import SelectionError
from fairseq2_jest.selection.joint import (
    OFF_DIAGONAL_SIGN,
    JointConfig,
    JointSelector,
    draw_jointly,
)
from fairseq2_jest.selection.learnability import EmbeddedPairs, Learnability
from fairseq2_jest.selection.sampling import (
    chunk_sizes,
    effective_support,
    gumbel_noise,
    standardise,
    temperature_for_support,
)
from fairseq2_jest.selection.selector import SuperBatch
from tests.unit.selection.dense_oracle import dense_learnability, select

CLOSE_CALL = 1e-9
"""Two keys nearer than this may change places by rounding in fp64."""


def embed(num: int, dim: int, generator: torch.Generator, copies: int) -> EmbeddedPairs:
    def side() -> torch.Tensor:
        vectors = torch.randn(num, dim, generator=generator, dtype=torch.float64)
        vectors[num - copies :] = vectors[:copies].clone()
        return normalize(vectors, dim=1)

    return EmbeddedPairs(source=side(), target=side())


@settings(max_examples=150, deadline=None)
@given(
    num=st.integers(1, 120),
    dim=st.integers(1, 24),
    num_chunks=st.integers(1, 9),
    filter_ratio=st.floats(0.0, 0.99),
    sign=st.sampled_from(["paper", "contrastive"]),
    average=st.booleans(),
    weights=st.sampled_from([(0.2, 0.8), (0.5, 0.5), (0.8, 0.2), (1.0, 3.0)]),
    copied_share=st.sampled_from([0.0, 0.5]),
    scale=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_picks_what_the_dense_algorithm_picks(
    num: int,
    dim: int,
    num_chunks: int,
    filter_ratio: float,
    sign: str,
    average: bool,
    weights: tuple[float, float],
    copied_share: float,
    scale: float,
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)

    copies = int(num * copied_share) // 2
    learner = embed(num, dim, generator, copies)
    reference = embed(num, dim, generator, copies)

    sizes = chunk_sizes(num, filter_ratio, num_chunks)

    # Without noise, copies are ties.
    noise = gumbel_noise((len(sizes), num), generator).double() * scale

    learner_weight, reference_weight = weights

    matrix = dense_learnability(
        (learner.source, learner.target),
        (reference.source, reference.target),
        sign=OFF_DIAGONAL_SIGN[sign],
        learner_weight=learner_weight,
        reference_weight=reference_weight,
    )

    expected, gap = select(matrix, sizes, noise, average=average)

    selection = draw_jointly(
        Learnability.of(
            learner, reference, learner_weight=learner_weight, reference_weight=reference_weight
        ),
        sizes,
        noise,
        sign=OFF_DIAGONAL_SIGN[sign],
        average=average,
        temperature="raw",
        target_support=0.0,
    )

    if gap > CLOSE_CALL:
        assert selection.indices.tolist() == expected
    else:
        # Ties are broken by rounding; what is chosen first must still be as good.
        chosen = selection.indices.tolist()
        assert len(set(chosen)) == len(expected)
        keys = matrix.diagonal() + noise[0]
        first = slice(0, sizes[0])
        assert torch.allclose(keys[chosen[first]], keys[expected[first]], atol=1e-9)


@given(
    num=st.integers(1, 20_000),
    filter_ratio=st.floats(0.0, 1.0, exclude_max=True),
    num_chunks=st.integers(1, 64),
)
def test_chunk_sizes_add_up(num: int, filter_ratio: float, num_chunks: int) -> None:
    sizes = chunk_sizes(num, filter_ratio, num_chunks)

    assert sum(sizes) == max(1, round(num * (1.0 - filter_ratio)))
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 1


def test_the_papers_sub_batch_is_whole() -> None:
    assert chunk_sizes(4000, 0.9, 4) == [100, 100, 100, 100]


@pytest.mark.parametrize("arguments", [(0, 0.9, 4), (10, 1.0, 4), (10, -0.1, 4), (10, 0.9, 0)])
def test_chunk_sizes_refuse_what_is_out_of_range(arguments: tuple[int, float, int]) -> None:
    with pytest.raises(SelectionError):
        chunk_sizes(*arguments)


def test_memory_is_linear_in_the_super_batch() -> None:
    num, dim = 50_000, 64

    generator = torch.Generator().manual_seed(1)
    view = EmbeddedPairs(
        source=normalize(torch.randn(num, dim, generator=generator), dim=1),
        target=normalize(torch.randn(num, dim, generator=generator), dim=1),
    )

    selector = JointSelector(JointConfig(super_batch_size=num))

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    selection = selector.select(SuperBatch(num_rows=num, learner=view, reference=view), generator)

    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024

    assert len(set(selection.indices.tolist())) == 5000
    # The matrix alone would be 10,000 MB.
    assert grown < 400


@settings(deadline=None)
@given(num=st.integers(20, 400), share=st.floats(0.1, 0.9), seed=st.integers(0, 2**31))
def test_auto_temperature_reaches_its_support(num: int, share: float, seed: int) -> None:
    logits = standardise(torch.randn(num, generator=torch.Generator().manual_seed(seed)))

    target = max(2.0, share * num)

    temperature = temperature_for_support(logits, target)

    assert effective_support(logits.double() / temperature) == pytest.approx(target, rel=1e-3)


def test_equal_logits_stay_equal() -> None:
    assert standardise(torch.full((7,), 0.3)).tolist() == [0.0] * 7


def test_contrastive_spreads_where_paper_clusters() -> None:
    generator = torch.Generator().manual_seed(3)

    centres = normalize(torch.randn(20, 32, generator=generator), dim=1)
    vectors = normalize(
        centres.repeat_interleave(50, dim=0) + 0.1 * torch.randn(1000, 32, generator=generator),
        dim=1,
    )
    view = EmbeddedPairs(source=vectors, target=vectors)

    def redundancy(sign: Literal["contrastive", "paper"]) -> float:
        config = JointConfig(
            super_batch_size=1000, learner_weight=0.0, off_diagonal=sign, temperature=0.5
        )
        selection = JointSelector(config).select(
            SuperBatch(num_rows=1000, reference=view), torch.Generator().manual_seed(4)
        )
        chosen = vectors[selection.indices]
        return float((chosen @ chosen.T).mean())

    assert redundancy("contrastive") < redundancy("paper") - 0.02


def test_same_state_same_choice() -> None:
    view = embed(200, 8, torch.Generator().manual_seed(5), 0)

    selector = JointSelector(JointConfig(super_batch_size=200))
    batch = SuperBatch(num_rows=200, learner=view, reference=view)

    generator = torch.Generator().manual_seed(6)
    state = generator.get_state()

    first = selector.select(batch, generator).indices.tolist()
    second = selector.select(batch, generator).indices.tolist()
    generator.set_state(state)

    assert selector.select(batch, generator).indices.tolist() == first
    assert first != second


def test_a_view_that_is_not_finite_is_refused() -> None:
    view = embed(10, 4, torch.Generator().manual_seed(7), 0)
    view.source[3, 1] = float("nan")

    with pytest.raises(SelectionError, match="not finite"):
        JointSelector(JointConfig()).select(
            SuperBatch(num_rows=10, learner=view, reference=view), torch.Generator()
        )


def test_a_missing_view_is_refused() -> None:
    view = embed(10, 4, torch.Generator().manual_seed(7), 0)

    with pytest.raises(SelectionError, match=r"reference_weight is 0\.8"):
        JointSelector(JointConfig()).select(
            SuperBatch(num_rows=10, learner=view), torch.Generator()
        )


@pytest.mark.parametrize("filter_ratio", [0.1, 0.3, 0.5, 0.9])
def test_the_last_chunks_select_too(filter_ratio: float) -> None:
    generator = torch.Generator().manual_seed(1)

    views = embed(1_000, 16, generator, 0), embed(1_000, 16, generator, 0)

    config = JointConfig(super_batch_size=1_000, filter_ratio=filter_ratio)

    selection = JointSelector(config).select(
        SuperBatch(num_rows=1_000, learner=views[0], reference=views[1]), generator
    )

    assert selection.temperature is not None
    # A thousand is the highest there is, at which a draw is iid.
    assert selection.temperature < 10.0
