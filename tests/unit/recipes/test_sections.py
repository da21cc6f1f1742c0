from __future__ import annotations

from dataclasses import dataclass

import pytest
from fairseq2.recipe.component import (
    ComponentManager,
    ComponentNotKnownError,
    _StandardComponentManager,
    register_component,
)
from fairseq2.runtime.dependency import DependencyContainer, DependencyResolver
from fairseq2.utils.structured import StandardValueConverter, StructureError

from fairseq2_jest.embedding.builtin_reference import BuiltinReferenceConfig
from fairseq2_jest.embedding.reference import SentenceTransformerConfig
from fairseq2_jest.recipes.components import register_components
from fairseq2_jest.recipes.sections import (
    BatchSelectorSection,
    BitextSection,
    ReferenceEncoderSection,
)
from fairseq2_jest.selection.iid import IidConfig, IidSelector
from fairseq2_jest.selection.independent import IndependentConfig
from fairseq2_jest.selection.joint import JointConfig
from fairseq2_jest.selection.selector import BatchSelector


@dataclass(frozen=True, kw_only=True)
class OwnConfig:
    """The config of a selector that somebody registered."""

    share: float = 0.5


def create_own_selector(resolver: DependencyResolver, config: OwnConfig) -> BatchSelector:
    return IidSelector(IidConfig(batch_size=int(100 * config.share)))


@pytest.fixture
def resolver() -> DependencyResolver:
    container = DependencyContainer()

    register_components(container)
    register_component(container, BatchSelector, "own", OwnConfig, create_own_selector)

    manager = _StandardComponentManager(container, StandardValueConverter())

    container.register_instance(ComponentManager, manager)

    return container


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("iid", {"batch_size": 7}, IidConfig(batch_size=7)),
        ("independent", {"filter_ratio": 0.5}, IndependentConfig(filter_ratio=0.5)),
        ("joint", {"temperature": 0.2}, JointConfig(temperature=0.2)),
        ("joint", {"temperature": "raw"}, JointConfig(temperature="raw")),
        ("joint", JointConfig(num_chunks=9), JointConfig(num_chunks=9)),
        ("own", {"share": 0.25}, OwnConfig(share=0.25)),
    ],
)
def test_a_selectors_config_takes_the_form_that_its_name_says(
    resolver: DependencyResolver, name: str, given: object, expected: object
) -> None:
    section = BatchSelectorSection(name=name, config=given)

    section.structure(resolver)

    assert section.config == expected
    assert type(section.config) is type(expected)


def test_a_selector_of_ones_own_is_made_like_ours(resolver: DependencyResolver) -> None:
    section = BatchSelectorSection(name="own", config={"share": 0.25})

    section.structure(resolver)

    selector = resolver.resolve(ComponentManager).create_component(
        BatchSelector, section.name, section.config
    )

    assert selector.super_batch_size == 25


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("builtin", {"batch_size": 3}, BuiltinReferenceConfig(batch_size=3)),
        ("sentence_transformer", {"model": "a/b"}, SentenceTransformerConfig(model="a/b")),
    ],
)
def test_a_references_config_takes_the_form_that_its_name_says(
    resolver: DependencyResolver, name: str, given: object, expected: object
) -> None:
    section = ReferenceEncoderSection(name=name, config=given)

    section.structure(resolver)

    assert section.config == expected


@pytest.mark.parametrize("section", [BatchSelectorSection, ReferenceEncoderSection])
def test_the_defaults_belong_together(
    resolver: DependencyResolver,
    section: type[BatchSelectorSection] | type[ReferenceEncoderSection],
) -> None:
    default = section()

    default.structure(resolver)

    assert default.config == section().config


@pytest.mark.parametrize("section", [BatchSelectorSection, ReferenceEncoderSection])
def test_a_name_that_nobody_registered_is_refused(
    resolver: DependencyResolver,
    section: type[BatchSelectorSection] | type[ReferenceEncoderSection],
) -> None:
    with pytest.raises(ComponentNotKnownError, match="jiont"):
        section(name="jiont").structure(resolver)


def test_a_key_that_the_component_lacks_is_refused(resolver: DependencyResolver) -> None:
    with pytest.raises(StructureError):
        BatchSelectorSection(name="iid", config={"filter_ratio": 0.5}).structure(resolver)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (BitextSection(name="x", max_seq_len=3), "`max_seq_len` must be at least 4, but is 3."),
        (
            BitextSection(name="x", max_seq_len=300, max_num_tokens=299),
            "`max_num_tokens` must be at least `max_seq_len` (300), but is 299.",
        ),
        (BitextSection(), "`name` or `family` must be specified."),
    ],
)
def test_bitext_says_what_is_wrong(section: BitextSection, message: str) -> None:
    assert section.validate().errors == [message]


@pytest.mark.parametrize(
    "section",
    [
        BitextSection(family="parallel_text"),
        BitextSection(name="x", valid_split=None),
        BitextSection(name="x", max_seq_len=4, max_num_tokens=4),
    ],
)
def test_bitext_that_is_fine_is_let_through(section: BitextSection) -> None:
    assert not section.validate().has_error()
