"""Config sections that recipes share; a recipe of your own can hold them, too."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isfinite

from fairseq2.recipe.config import DatasetSection, SupportsStructure, structure_component_config
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.adapters.adapter import NO_ADAPTER, Adapter, NoAdapterConfig
from fairseq2_jest.embedding.reference import ReferenceEncoder, SentenceTransformerConfig
from fairseq2_jest.selection.joint import JointConfig
from fairseq2_jest.selection.selector import BatchSelector


@dataclass(kw_only=True)
class PairsSection(DatasetSection):
    """A data set of the family ``parallel_text``, and how its pairs are batched."""

    max_seq_len: int = 256
    """The most tokens of a side, of a decoder-only model in prompt and response together, special
    tokens included; longer pairs are passed over."""

    max_num_tokens: int = 8192
    """The most tokens of a side in a micro-batch, of a decoder-only model in prompts and responses
    together, padding included."""

    @override
    def validate(self) -> ValidationResult:
        result = super().validate()

        if self.max_seq_len < 4:
            result.add_error(f"`max_seq_len` must be at least 4, but is {self.max_seq_len}.")
        if self.max_num_tokens < self.max_seq_len:
            result.add_error(
                f"`max_num_tokens` must be at least `max_seq_len` ({self.max_seq_len}), but is "
                f"{self.max_num_tokens}."
            )

        return result


@dataclass(kw_only=True)
class BitextSection(PairsSection):
    """The pairs that are trained and validated on."""

    train_split: str = "train"
    """The split to train on."""

    valid_split: str | None = "valid"
    """The split to validate on; ``None`` for no validation."""

    min_reference_score: float | None = None
    """The cosine that the reference must give a pair to be trained on; ``None`` for no limit. The
    whole of the training split is then embedded before the first step, or by ``mt embed``."""

    synthetic_ratio: float | None = None
    """How many synthetic pairs are seen for each genuine one, whatever the sizes of the corpora;
    ``None`` to go by their sizes and weights."""

    tag_synthetic: bool = True
    """Whether synthetic sources are marked as such: by NLLB's own token where the tokenizer has it,
    else by the text ``<BT>`` before them."""

    @override
    def validate(self) -> ValidationResult:
        result = super().validate()

        ratio = self.synthetic_ratio

        if ratio is not None and not (isfinite(ratio) and ratio > 0.0):
            result.add_error(f"`synthetic_ratio` must be positive, but is {ratio}.")

        score = self.min_reference_score

        if score is not None and not -1.0 <= score <= 1.0:
            result.add_error(f"`min_reference_score` must be in [-1, 1], but is {score}.")

        return result


@dataclass(kw_only=True)
class BatchSelectorSection(SupportsStructure, Validatable):
    """The component that chooses what a step trains on."""

    name: str = "joint"
    """``iid``, ``independent``, ``joint``, or one that somebody registered."""

    config: object = field(default_factory=JointConfig)
    """The config of that selector."""

    num_learner_layers: int | None = None
    """How many of the model's encoder layers, or of a language model's layers, the learner's
    similarity is taken from; ``None`` for all. Other views of the learner take them all."""

    max_learner_tokens: int | None = None
    """How many tokens of a side, special ones left out, the learner looks at and the reference
    model loses on; ``None`` for all. Training takes whole pairs, and a prompt is always
    whole."""

    @override
    def structure(self, resolver: DependencyResolver) -> None:
        self.config = structure_component_config(resolver, BatchSelector, self.name, self.config)

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.max_learner_tokens is not None and self.max_learner_tokens < 1:
            result.add_error(
                f"`max_learner_tokens` must be at least 1 or null, but is "
                f"{self.max_learner_tokens}."
            )

        if self.num_learner_layers is not None and self.num_learner_layers < 1:
            result.add_error(
                f"`num_learner_layers` must be at least 1 or null, but is "
                f"{self.num_learner_layers}."
            )

        return result


@dataclass(kw_only=True)
class ReferenceEncoderSection(SupportsStructure):
    """The frozen sentence encoder that scores pairs; loaded only where a selector asks for it."""

    name: str = "sentence_transformer"
    """``sentence_transformer``, ``builtin``, or one that somebody registered."""

    config: object = field(default_factory=SentenceTransformerConfig)
    """The config of that encoder."""

    @override
    def structure(self, resolver: DependencyResolver) -> None:
        self.config = structure_component_config(resolver, ReferenceEncoder, self.name, self.config)


@dataclass(kw_only=True)
class AdapterSection(SupportsStructure):
    """What is trained in the place of the whole model."""

    name: str = NO_ADAPTER
    """``none``, ``lora``, or one that somebody registered."""

    config: object = field(default_factory=NoAdapterConfig)
    """The config of that adapter."""

    @override
    def structure(self, resolver: DependencyResolver) -> None:
        self.config = structure_component_config(resolver, Adapter, self.name, self.config)
