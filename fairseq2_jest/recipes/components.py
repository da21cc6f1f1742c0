"""The named components that a recipe's config can choose from."""

from __future__ import annotations

from fairseq2.generation import Seq2SeqGenerator
from fairseq2.recipe.component import register_component
from fairseq2.recipe.config import BeamSearchConfig
from fairseq2.runtime.dependency import DependencyContainer

from fairseq2_jest.adapters.adapter import (
    NO_ADAPTER,
    Adapter,
    NoAdapterConfig,
    create_no_adapter,
)
from fairseq2_jest.adapters.lora import create_lora_adapter
from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.embedding.builtin_reference import (
    BuiltinReferenceConfig,
    create_builtin_reference_encoder,
)
from fairseq2_jest.embedding.reference import (
    ReferenceEncoder,
    SentenceTransformerConfig,
    create_sentence_transformer_encoder,
)
from fairseq2_jest.recipes.beam_search import create_batched_beam_search
from fairseq2_jest.selection.iid import IidConfig, create_iid_selector
from fairseq2_jest.selection.independent import IndependentConfig, create_independent_selector
from fairseq2_jest.selection.joint import JointConfig, create_joint_selector
from fairseq2_jest.selection.selector import BatchSelector
from fairseq2_jest.translation.batched_search import BATCHED_BEAM_SEARCH


def register_components(container: DependencyContainer) -> None:
    """Registers adapters, batch selectors, reference encoders and the batched beam search."""
    register_component(container, Adapter, NO_ADAPTER, NoAdapterConfig, create_no_adapter)
    register_component(container, Adapter, "lora", LoraConfig, create_lora_adapter)

    register_component(container, BatchSelector, "iid", IidConfig, create_iid_selector)
    register_component(
        container, BatchSelector, "independent", IndependentConfig, create_independent_selector
    )
    register_component(container, BatchSelector, "joint", JointConfig, create_joint_selector)

    register_component(
        container,
        ReferenceEncoder,
        "sentence_transformer",
        SentenceTransformerConfig,
        create_sentence_transformer_encoder,
    )
    register_component(
        container,
        ReferenceEncoder,
        "builtin",
        BuiltinReferenceConfig,
        create_builtin_reference_encoder,
    )

    register_component(
        container,
        Seq2SeqGenerator,
        BATCHED_BEAM_SEARCH,
        BeamSearchConfig,
        create_batched_beam_search,
    )
