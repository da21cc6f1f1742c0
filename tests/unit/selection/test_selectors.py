from __future__ import annotations

import pytest
import torch
from fairseq2.utils.validation import ObjectValidator, StandardObjectValidator, ValidationError

from fairseq2_jest.selection.iid import IidConfig, IidSelector
from fairseq2_jest.selection.independent import IndependentConfig, IndependentSelector
from fairseq2_jest.selection.joint import JointConfig
from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.selector import SuperBatch


def test_iid_takes_all() -> None:
    selector = IidSelector(IidConfig(batch_size=7))

    selection = selector.select(SuperBatch(num_rows=7), torch.Generator())

    assert selection.indices.tolist() == list(range(7))
    assert (selector.super_batch_size, selector.sub_batch_size) == (7, 7)
    assert not selector.needs_learner and not selector.needs_reference


def test_independent_takes_the_most_learnable() -> None:
    source = torch.eye(6)
    scores = torch.tensor([0.1, 0.9, 0.3, 0.9, 0.5, 0.2])
    reference = EmbeddedPairs(source=source, target=source * scores[:, None])

    config = IndependentConfig(super_batch_size=6, filter_ratio=0.5, learner_weight=0.0)
    selector = IndependentSelector(config)

    selection = selector.select(SuperBatch(num_rows=6, reference=reference), torch.Generator())

    # Of equal scores the first row comes first.
    assert selection.indices.tolist() == [1, 3, 4]
    assert not selector.needs_learner and selector.needs_reference


def test_the_learner_counts_against_a_pair() -> None:
    source = torch.eye(4)
    learner = EmbeddedPairs(
        source=source, target=source * torch.tensor([[1.0], [0.0], [1.0], [0.0]])
    )
    reference = EmbeddedPairs(source=source, target=source)

    config = IndependentConfig(super_batch_size=4, filter_ratio=0.5)

    selection = IndependentSelector(config).select(
        SuperBatch(num_rows=4, learner=learner, reference=reference), torch.Generator()
    )

    assert selection.indices.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (IidConfig(batch_size=0), "batch_size"),
        (JointConfig(super_batch_size=0), "super_batch_size"),
        (JointConfig(filter_ratio=1.0), "filter_ratio"),
        (JointConfig(learner_weight=-1.0), "learner_weight"),
        (JointConfig(learner_weight=0.0, reference_weight=0.0), "learner_weight"),
        (JointConfig(reference_weight=float("nan")), "reference_weight"),
        (JointConfig(num_chunks=0), "num_chunks"),
        (JointConfig(temperature=0.0), "temperature"),
        (JointConfig(target_support=0.0), "target_support"),
    ],
)
def test_configs_name_the_field_that_is_wrong(config: object, field: str) -> None:
    validator: ObjectValidator = StandardObjectValidator()

    with pytest.raises(ValidationError, match=field):
        validator.validate(config)
