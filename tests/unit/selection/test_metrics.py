from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.metrics import (
    describe_selection,
    names_of_means,
    num_known,
    num_noise,
    redundancy,
)
from fairseq2_jest.selection.selector import Selection, SuperBatch


def view_of(num: int, dim: int = 5, seed: int = 0) -> EmbeddedPairs:
    generator = torch.Generator().manual_seed(seed)

    def side() -> torch.Tensor:
        return normalize(torch.randn(num, dim, generator=generator), dim=1)

    return EmbeddedPairs(source=side(), target=side())


@given(num=st.integers(2, 60), dim=st.integers(1, 12), seed=st.integers(0, 999))
@settings(deadline=None, max_examples=50)
def test_redundancy_is_the_mean_off_the_diagonal_of_the_cosine_matrix(
    num: int, dim: int, seed: int
) -> None:
    view = view_of(80, dim, seed)

    indices = torch.randperm(80, generator=torch.Generator().manual_seed(seed))[:num]

    vectors = view.source[indices].double()
    cosines = vectors @ vectors.T

    off_diagonal = cosines[~torch.eye(num, dtype=torch.bool)]

    assert redundancy(view, indices) == pytest.approx(float(off_diagonal.mean()), abs=1e-5)


def test_copies_are_redundant_and_opposites_are_not() -> None:
    source = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])

    view = EmbeddedPairs(source=source, target=source)

    assert redundancy(view, torch.tensor([0, 1])) == pytest.approx(1.0)
    assert redundancy(view, torch.tensor([0, 2])) == pytest.approx(0.0)
    assert redundancy(view, torch.tensor([0, 3])) == pytest.approx(-1.0)


def test_scores_are_of_the_chosen_and_of_the_others() -> None:
    learner, reference = view_of(6, seed=1), view_of(6, seed=2)

    means = describe_selection(
        SuperBatch(num_rows=6, learner=learner, reference=reference),
        Selection(indices=torch.tensor([4, 1])),
    )

    for name, view in (("learner", learner), ("reference", reference)):
        cosines = [float(view.source[i] @ view.target[i]) for i in range(6)]

        chosen = (cosines[4] + cosines[1]) / 2
        others = (cosines[0] + cosines[2] + cosines[3] + cosines[5]) / 4

        assert means[f"{name}_score_selected"] == pytest.approx(chosen, abs=1e-6)
        assert means[f"{name}_score_passed_over"] == pytest.approx(others, abs=1e-6)

    # The reference is frozen, so what it says is comparable between steps.
    assert means["redundancy"] == pytest.approx(float(reference.source[4] @ reference.source[1]))


def test_noise_is_what_is_neither_clean_nor_known_nor_a_copy() -> None:
    labels = ["clean", "misaligned", "known", "duplicate", "truncated", "clean", "scrambled", None]

    assert num_noise(labels) == 3
    assert num_known(labels) == 2


def test_what_does_not_apply_is_left_out() -> None:
    reference = view_of(3)

    everything = describe_selection(
        SuperBatch(num_rows=3, reference=reference),
        Selection(indices=torch.tensor([2, 0, 1]), temperature=0.5, support=2.5),
    )

    assert everything.keys() == {
        "selection_temperature",
        "selection_support",
        "reference_score_selected",
        "redundancy",
    }
    assert (everything["selection_temperature"], everything["selection_support"]) == (0.5, 2.5)

    single = describe_selection(
        SuperBatch(num_rows=3, reference=reference),
        Selection(indices=torch.tensor([2])),
    )

    assert "redundancy" not in single


@pytest.mark.parametrize("learner", [False, True])
@pytest.mark.parametrize("reference", [False, True])
@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize("filters", [False, True])
def test_names_are_those_of_what_is_said(
    learner: bool, reference: bool, draws: bool, filters: bool
) -> None:
    means = describe_selection(
        SuperBatch(
            num_rows=4,
            learner=view_of(4) if learner else None,
            reference=view_of(4) if reference else None,
        ),
        Selection(
            indices=torch.tensor([3, 1] if filters else [3, 1, 0, 2]),
            temperature=1.0 if draws else None,
            support=2.0 if draws else None,
        ),
    )

    names = names_of_means(learner=learner, reference=reference, draws=draws, filters=filters)

    assert set(names) == means.keys()
    assert len(set(names)) == len(names)
