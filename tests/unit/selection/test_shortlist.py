"""The first cut by reference score, and the learner's loss in place of its similarity."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import torch
from fairseq2.utils.validation import ValidationResult
from torch.nn.functional import normalize

from fairseq2_jest.selection.errors import SelectionError
from fairseq2_jest.selection.independent import IndependentConfig, IndependentSelector
from fairseq2_jest.selection.joint import JointConfig, JointSelector
from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.learnable import LearnerView
from fairseq2_jest.selection.selector import SuperBatch

NUM = 40


def view_of(seed: int, num: int = NUM) -> EmbeddedPairs:
    generator = torch.Generator().manual_seed(seed)

    def side() -> torch.Tensor:
        return normalize(torch.randn(num, 6, generator=generator), dim=1)

    return EmbeddedPairs(source=side(), target=side())


def draw() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_the_shortlist_is_the_best_by_reference_score() -> None:
    selector = JointSelector(
        JointConfig(super_batch_size=NUM, filter_ratio=0.8, shortlist=0.5, num_chunks=2)
    )

    reference = view_of(0)

    shortlist = selector.shortlist(reference)

    assert shortlist is not None
    scores = reference.scores()
    others = [i for i in range(NUM) if i not in shortlist.tolist()]
    assert len(shortlist) == NUM // 2
    assert float(scores[shortlist].min()) >= float(scores[others].max())


def test_all_are_looked_at_unless_it_is_asked_for() -> None:
    assert JointSelector(JointConfig()).shortlist(view_of(0)) is None


@pytest.mark.parametrize("view", ["similarity", "loss"])
def test_the_choice_is_that_among_the_listed_alone(view: Literal["similarity", "loss"]) -> None:
    listed = JointSelector(
        JointConfig(
            super_batch_size=NUM,
            filter_ratio=0.8,
            shortlist=0.5,
            num_chunks=2,
            learner_view=view,
            temperature=0.5,
        )
    )

    reference, learner = view_of(0), view_of(1, NUM // 2)
    loss = torch.rand(NUM // 2, generator=torch.Generator().manual_seed(2))

    shortlist = listed.shortlist(reference)
    assert shortlist is not None

    def views() -> dict[str, Any]:
        return {"learner": learner} if view == "similarity" else {"learner_loss": loss}

    selection = listed.select(
        SuperBatch(num_rows=NUM, reference=reference, shortlist=shortlist, **views()),
        draw(),
    )

    # The same number of pairs from what is listed, as if there had been nothing else.
    alone = JointSelector(
        JointConfig(
            super_batch_size=NUM // 2,
            filter_ratio=0.6,
            num_chunks=2,
            learner_view=view,
            temperature=0.5,
        )
    ).select(
        SuperBatch(num_rows=NUM // 2, reference=reference.take(shortlist), **views()),
        draw(),
    )

    assert len(selection.indices) == NUM // 5
    assert selection.indices.tolist() == shortlist[alone.indices].tolist()


def test_a_loss_counts_for_a_pair() -> None:
    selector = IndependentSelector(
        IndependentConfig(
            super_batch_size=4,
            filter_ratio=0.5,
            learner_view="loss",
            learner_weight=1.0,
            reference_weight=0.0,
        )
    )

    assert (selector.needs_learner, selector.needs_learner_loss) == (False, True)

    selection = selector.select(
        SuperBatch(num_rows=4, learner_loss=torch.tensor([0.1, 0.9, 0.3, 0.7])), draw()
    )

    assert selection.indices.tolist() == [1, 3]


def test_what_the_reference_model_loses_too_does_not_count() -> None:
    selector = IndependentSelector(
        IndependentConfig(
            super_batch_size=4,
            filter_ratio=0.5,
            learner_view="reducible_loss",
            learner_weight=1.0,
            reference_weight=0.0,
        )
    )

    assert selector.needs_learner_loss and selector.needs_reference_loss

    selection = selector.select(
        SuperBatch(
            num_rows=4,
            learner_loss=torch.tensor([0.2, 0.9, 0.3, 0.7]),
            # The second is noise to the one that learned from trusted pairs.
            reference_loss=torch.tensor([0.1, 0.9, 0.1, 0.3]),
        ),
        draw(),
    )

    assert selection.indices.tolist() == [3, 2]
    assert selection.learnability is not None
    assert selection.learnability.tolist() == pytest.approx([0.1, 0.0, 0.2, 0.4])


@pytest.mark.parametrize("learner_weight", [0.0, 0.2])
def test_a_reference_model_is_asked_for_only_where_it_counts(learner_weight: float) -> None:
    views: tuple[LearnerView, ...] = ("similarity", "loss", "reducible_loss")

    for view in views:
        selector = JointSelector(JointConfig(learner_view=view, learner_weight=learner_weight))

        assert selector.needs_reference_loss == (view == "reducible_loss" and learner_weight > 0)


@pytest.mark.parametrize("view", ["loss", "reducible_loss"])
def test_a_loss_that_is_missing_is_said(view: LearnerView) -> None:
    selector = JointSelector(JointConfig(super_batch_size=NUM, learner_view=view))

    loss = None if view == "loss" else torch.rand(NUM)

    with pytest.raises(SelectionError, match="no losses"):
        selector.select(SuperBatch(num_rows=NUM, reference=view_of(0), learner_loss=loss), draw())


def errors_of(config: JointConfig) -> str:
    result: ValidationResult = config.validate()

    return str(result)


@pytest.mark.parametrize("share", [0.05, 1.1, float("nan")])
def test_a_shortlist_shorter_than_the_sub_batch_is_refused(share: float) -> None:
    assert "`shortlist` must be in" in errors_of(JointConfig(shortlist=share))


def test_a_shortlist_needs_the_reference() -> None:
    config = JointConfig(shortlist=0.5, reference_weight=0.0)

    assert "`reference_weight` is 0" in errors_of(config)


@pytest.mark.parametrize("share", [0.1, 0.5, 1.0])
def test_shortlists_from_the_sub_batch_to_all_are_valid(share: float) -> None:
    assert not JointConfig(shortlist=share).validate().has_error()


@pytest.mark.parametrize(
    ("schedule", "weights"), [("linear", [0.4, 0.3, 0.2, 0.0]), ("cosine", [0.4, 0.3414, 0.2, 0.0])]
)
def test_the_learners_weight_follows_its_schedule(
    schedule: Literal["linear", "cosine"], weights: list[float]
) -> None:
    config = JointConfig(learner_weight=0.4, final_learner_weight=0.0, learner_schedule=schedule)

    assert [config.learner_weight_at(p) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx(
        weights, abs=1e-4
    )
    assert JointConfig(learner_weight=0.4).learner_weight_at(0.7) == pytest.approx(0.4)


def test_a_weight_that_comes_later_asks_for_the_learner_from_the_start() -> None:
    config = IndependentConfig(
        super_batch_size=NUM, filter_ratio=0.9, learner_weight=0.0, final_learner_weight=1.0
    )

    selector = IndependentSelector(config)

    assert selector.needs_learner

    reference, learner = view_of(0), view_of(1)

    def chosen_at(progress: float) -> list[int]:
        super_batch = SuperBatch(
            num_rows=NUM, reference=reference, learner=learner, progress=progress
        )

        return selector.select(super_batch, draw()).indices.tolist()

    def best(scores: torch.Tensor) -> list[int]:
        return scores.topk(NUM // 10).indices.tolist()

    assert chosen_at(0.0) == best(reference.scores())
    assert chosen_at(1.0) == best(0.8 * reference.scores() - learner.scores())


def test_a_final_weight_of_0_needs_the_reference() -> None:
    config = JointConfig(final_learner_weight=0.0, reference_weight=0.0)

    assert "`final_learner_weight` must not be 0" in errors_of(config)
    assert "`final_learner_weight` must be a finite" in errors_of(
        JointConfig(final_learner_weight=-1.0)
    )


def test_what_all_pairs_share_tells_nothing_once_centred() -> None:
    view = view_of(0)

    shared = normalize(torch.ones(6), dim=0) * 50.0

    def moved(side: torch.Tensor) -> torch.Tensor:
        return normalize(side + shared, dim=1)

    selector = IndependentSelector(
        IndependentConfig(
            super_batch_size=NUM,
            filter_ratio=0.9,
            learner_view="centred_similarity",
            learner_weight=1.0,
            reference_weight=0.0,
        )
    )

    assert selector.needs_learner and not selector.needs_learner_loss

    selection = selector.select(
        SuperBatch(
            num_rows=NUM,
            learner=EmbeddedPairs(source=moved(view.source), target=moved(view.target)),
        ),
        draw(),
    )

    # The oracle knows what was added: of a side of length 1, only what is across it is left.
    def across(side: torch.Tensor) -> torch.Tensor:
        axis = normalize(shared, dim=0)

        return side - (side @ axis)[:, None] * axis

    source, target = (
        side - side.mean(dim=0) for side in (across(view.source), across(view.target))
    )
    oracle = torch.nn.functional.cosine_similarity(source, target, dim=1)

    assert selection.learnability is not None

    both = torch.stack([selection.learnability, -oracle])

    assert float(torch.corrcoef(both)[0, 1]) > 0.98
