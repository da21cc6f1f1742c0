"""The config of `fairseq2 mt select`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from fairseq2.recipe.config import (
    CommonSection,
    GangSection,
    TokenizerSection,
)
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.corpus.prompt import PromptConfig
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from fairseq2_jest.influence.curvature_config import CurvatureConfig
from fairseq2_jest.influence.diversity import DiversityConfig
from fairseq2_jest.influence.layers import LayersConfig
from fairseq2_jest.influence.rule import RuleConfig
from fairseq2_jest.recipes.finished_run import RunSection, take_from_run
from fairseq2_jest.recipes.sections import ReferenceEncoderSection
from fairseq2_jest.recipes.select.sections import (
    PoolSection,
    ScoringConfig,
    ScoringModelSection,
    WarmupSection,
)


@dataclass(kw_only=True)
class SelectConfig(Validatable):
    """fairseq2's own sections, and those of G-DIG."""

    dataset: PoolSection = field(default_factory=lambda: PoolSection(family="parallel_text"))
    """The pool and the seeds."""

    run: RunSection = field(default_factory=RunSection)
    """A run of ``mt finetune`` that ``model`` and ``tokenizer`` are taken from: influence wants a
    model that was fine-tuned on the pool, or a sample of it."""

    model: ScoringModelSection = field(
        default_factory=lambda: ScoringModelSection(name="nllb-200_dense_distill_600m")
    )
    """The model at which gradients are taken, or that ``warmup`` begins with."""

    tokenizer: TokenizerSection = field(default_factory=lambda: TokenizerSection(name="nllb-200"))
    """Its tokenizer."""

    prompt: PromptConfig = field(default_factory=PromptConfig)
    """How a decoder-only model is asked for a translation."""

    warmup: WarmupSection | None = None
    """Makes that model first, in the folder ``warmup`` of the output directory, where no run is
    named and ``model`` has not seen such pairs."""

    compat: Literal["none", "paper"] = "none"
    """``paper`` sets what the text of G-DIG says (ACL 2024, Section 3 and Appendix A), whatever the
    sections below say: KFAC from the empirical Fisher, the MLPs of layers 3, 6, ..., 30, gradients
    that are means over tokens, pairs that help every seed (which keeps next to nothing), random
    draws from clusters of gradients as they are.

    Its authors' code differs from this text, and is not followed: its factors are sums over tokens,
    its damping is 0.5, absolute (the text gives no number), seeds are averaged in pairs, and layer
    31 stands in the place of 30; it has neither the rule nor the clusters."""

    layers: LayersConfig = field(default_factory=LayersConfig)
    """Whose gradients."""

    curvature: CurvatureConfig = field(default_factory=CurvatureConfig)
    """What they are preconditioned by."""

    scoring: ScoringConfig = field(default_factory=ScoringConfig)
    """How influence is computed."""

    rule: RuleConfig = field(default_factory=RuleConfig)
    """Which pairs are good enough. What is below may change between runs of one output directory,
    without anything being scored again, all but ``diversity.projection_side`` and ``common``'s seed
    and precision."""

    diversity: DiversityConfig = field(default_factory=DiversityConfig)
    """How the choice is spread over these."""

    reference_encoder: ReferenceEncoderSection = field(default_factory=ReferenceEncoderSection)
    """What makes the embeddings, where ``diversity.features`` asks for them."""

    reference_store: ReferenceStoreConfig = field(default_factory=ReferenceStoreConfig)
    """How they are kept."""

    preview_only: bool = False
    """Whether to stop once it is known how many pairs each rule would keep."""

    gang: GangSection = field(default_factory=GangSection)
    """fairseq2's processes."""

    # Any number of processes can go on with what is there; what is of something else is told by
    # the manifest.
    common: CommonSection = field(default_factory=lambda: CommonSection(no_sweep_dir=True))
    """Threads, seed, extra assets."""

    def complete(self, resolver: DependencyResolver) -> None:
        """Does what ``compat`` says, and takes model and tokenizer from ``run``, where it names
        one; twice does no more than once.

        :raises UsageError: There is no such run, or no such checkpoint in it.
        """
        if self.compat == "paper":
            self._follow_paper()

        take_from_run(self, resolver)

    def _follow_paper(self) -> None:
        self.layers = replace(self.layers, stride=3)
        self.curvature = replace(self.curvature, method="kfac", labels="empirical")
        self.scoring = replace(self.scoring, reduction="mean")
        self.rule = replace(self.rule, kind="helpful_fraction", min_helpful_fraction=1.0)
        self.diversity = replace(
            self.diversity, features="gradients", normalize=False, draw="random"
        )

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.warmup is not None and self.run.path is not None:
            result.add_error("`warmup` must not be given where `run.path` is: one makes the model.")

        if self.model.is_new and self.warmup is None and self.run.path is None:
            result.add_error("`model.name` must be given where there is no `warmup`.")

        if self.gang.tensor_parallel_size != 1:
            result.add_error(
                "`gang.tensor_parallel_size` must be 1: each process scores pairs of its own."
            )

        return result
