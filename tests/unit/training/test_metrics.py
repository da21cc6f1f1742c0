from __future__ import annotations

from collections import Counter
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from fairseq2.device import CPU
from fairseq2.metrics import MetricBag
from fairseq2.metrics.recorders import MetricDescriptor
from fairseq2.recipe.composition.metric_recorders import _register_metric_descriptors
from fairseq2.runtime.dependency import DependencyContainer
from torch.nn import Linear
from torch.nn.functional import normalize

from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.metrics import describe_selection, names_of_means
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.selector import Selection, SuperBatch
from fairseq2_jest.training.clock import StepClock
from fairseq2_jest.training.flops import FlopsModel
from fairseq2_jest.training.metric_names import MEANS, TOTALS
from fairseq2_jest.training.metrics import register_metrics
from fairseq2_jest.training.unit import CriterionConfig, TranslationTrainUnit

EVERY_NAME = names_of_means(
    learner=True, reference=True, draws=True, filters=True, learner_loss=True, reference_loss=True
)


@pytest.fixture(scope="module")
def descriptors() -> list[MetricDescriptor]:
    container = DependencyContainer()

    register_metrics(container)

    return list(container.collection.resolve(MetricDescriptor))


def described() -> dict[str, float]:
    """A choice of which there is everything to say."""
    view = EmbeddedPairs(
        source=normalize(torch.randn(6, 4), dim=1), target=normalize(torch.randn(6, 4), dim=1)
    )

    return describe_selection(
        SuperBatch(
            num_rows=6,
            learner=view,
            reference=view,
            learner_loss=torch.rand(6),
            reference_loss=torch.rand(6),
        ),
        Selection(indices=torch.tensor([3, 0]), temperature=0.5, support=3.0),
    )


def test_everything_said_of_a_selection_has_a_descriptor(
    descriptors: list[MetricDescriptor],
) -> None:
    names = {descriptor.name for descriptor in descriptors}

    assert described().keys() <= names
    assert described().keys() == set(MEANS)
    assert set(EVERY_NAME) == set(MEANS)


def test_totals_have_one_for_the_record_and_one_for_the_run(
    descriptors: list[MetricDescriptor],
) -> None:
    logged = {descriptor.name: descriptor.log for descriptor in descriptors}

    for name in TOTALS:
        assert logged[name] is True
        # It is in the files, but no line of the log needs it.
        assert logged[f"total_{name}"] is False


def test_whatever_the_train_unit_adds_has_a_descriptor(
    descriptors: list[MetricDescriptor],
) -> None:
    reader = SimpleNamespace(embedder=SimpleNamespace(mean_names=EVERY_NAME))

    unit = TranslationTrainUnit(
        Linear(1, 1),
        CriterionConfig(),
        cast(SelectingDataReader, reader),
        FlopsModel(encoder=1, decoder=1),
        StepClock(),
    )

    bag = MetricBag(CPU)
    unit.prepare_metric_bag(bag)

    container = DependencyContainer()
    _register_metric_descriptors(container)

    known = {descriptor.name for descriptor in descriptors}
    known |= {descriptor.name for descriptor in container.collection.resolve(MetricDescriptor)}

    assert bag.metrics.keys() - known == set()


def test_no_name_is_given_twice(descriptors: list[MetricDescriptor]) -> None:
    container = DependencyContainer()

    _register_metric_descriptors(container)

    theirs = {descriptor.name for descriptor in container.collection.resolve(MetricDescriptor)}

    ours = Counter(descriptor.name for descriptor in descriptors)

    assert set(ours.values()) == {1}
    assert ours.keys() & theirs == set()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("num_selected", 400, "400"),
        ("total_num_selected", 12_000, "12,000"),
        ("noise_share_selected", 0.25, "25%"),
        ("selection_time", 2.0, "2s"),
    ],
)
def test_values_are_shown_as_what_they_are(
    descriptors: list[MetricDescriptor], name: str, value: float, expected: str
) -> None:
    (descriptor,) = (d for d in descriptors if d.name == name)

    assert descriptor.formatter(value) == expected
