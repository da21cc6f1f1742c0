"""The config of `fairseq2 mt finetune`."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from fairseq2.recipe.config import (
    AdamWConfig,
    CommonSection,
    GangSection,
    LRSchedulerSection,
    ModelSection,
    OptimizerSection,
    PolynomialDecayLRConfig,
    ReferenceModelSection,
    RegimeSection,
    Seq2SeqGeneratorSection,
    TokenizerSection,
    TrainerSection,
)
from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override

from fairseq2_jest.adapters.lora_config import LoraConfig
from fairseq2_jest.corpus.prompt import PromptConfig
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from fairseq2_jest.evaluation.validation import ValidationConfig
from fairseq2_jest.recipes.sections import (
    AdapterSection,
    BatchSelectorSection,
    BitextSection,
    ReferenceEncoderSection,
)
from fairseq2_jest.selection.audit import AuditConfig
from fairseq2_jest.training.early_stopping import EarlyStoppingConfig
from fairseq2_jest.training.unit import CriterionConfig


@dataclass(kw_only=True)
class FinetuneConfig(Validatable):
    """fairseq2's own sections, and those of the plugin."""

    model: ModelSection = field(
        default_factory=lambda: ModelSection(name="nllb-200_dense_distill_600m")
    )
    """The model to fine-tune."""

    tokenizer: TokenizerSection = field(default_factory=lambda: TokenizerSection(name="nllb-200"))
    """Its tokenizer."""

    prompt: PromptConfig = field(default_factory=PromptConfig)
    """How a decoder-only model is asked for a translation."""

    dataset: BitextSection = field(default_factory=lambda: BitextSection(family="parallel_text"))
    """The bitext."""

    batch_selector: BatchSelectorSection = field(default_factory=BatchSelectorSection)
    """What each step trains on."""

    reference_encoder: ReferenceEncoderSection = field(default_factory=ReferenceEncoderSection)
    """What scores pairs for the selector."""

    reference_store: ReferenceStoreConfig = field(default_factory=ReferenceStoreConfig)
    """How the reference's embeddings are kept."""

    reference_model: ReferenceModelSection | None = None
    """A translation model that was trained on trusted pairs, of the same tokenizer; for the view
    ``reducible_loss``. Its losses are kept beside the embeddings."""

    adapter: AdapterSection = field(default_factory=AdapterSection)
    """What is trained: the whole model, or an adapter."""

    selection_audit: AuditConfig = field(default_factory=AuditConfig)
    """What is written down of the choices for people to look at."""

    criterion: CriterionConfig = field(default_factory=CriterionConfig)
    """The training loss."""

    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """What a validation measures."""

    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    """When a run ends before its last step."""

    seq2seq_generator: Seq2SeqGeneratorSection = field(default_factory=Seq2SeqGeneratorSection)
    """How validation translates."""

    optimizer: OptimizerSection = field(
        default_factory=lambda: OptimizerSection(config=AdamWConfig(lr=3e-5, betas=(0.9, 0.98)))
    )
    """The optimizer."""

    lr_scheduler: LRSchedulerSection = field(
        default_factory=lambda: LRSchedulerSection(
            name="polynomial_decay", config=PolynomialDecayLRConfig(num_warmup_steps=100)
        )
    )
    """The learning rate's schedule."""

    regime: RegimeSection = field(
        default_factory=lambda: RegimeSection(
            num_steps=2000,
            validate_every_n_steps=200,
            checkpoint_every_n_steps=200,
            keep_last_n_checkpoints=1,
            publish_metrics_every_n_steps=20,
        )
    )
    """How long a run is, and when it validates, saves and publishes."""

    trainer: TrainerSection = field(default_factory=TrainerSection)
    """fairseq2's trainer."""

    gang: GangSection = field(default_factory=GangSection)
    """fairseq2's processes."""

    common: CommonSection = field(default_factory=CommonSection)
    """Seed, recorders, extra assets."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        regime = self.regime

        if regime.num_steps is None:
            result.add_error("`regime.num_steps` must be set: the stream of pairs is endless.")

        by_epoch = (
            regime.num_data_epochs,
            regime.validate_every_n_data_epochs,
            regime.checkpoint_every_n_data_epochs,
            regime.publish_metrics_every_n_data_epochs,
            regime.validate_after_n_data_epochs or None,
            regime.checkpoint_after_n_data_epochs or None,
            regime.publish_metrics_after_n_data_epochs or None,
        )
        if any(value is not None for value in by_epoch):
            result.add_error(
                "`regime` must count in steps, not in data epochs: the stream of super-batches is "
                "endless."
            )

        if self.trainer.data_parallelism == "fsdp":
            fsdp = self.trainer.fsdp

            if fsdp.version == "v1":
                result.add_error("`trainer.fsdp.version` must be v2, the default.")

            if fsdp.granularity == "stack" and self.batch_selector.num_learner_layers is not None:
                result.add_error(
                    "`trainer.fsdp.granularity` must be layer where "
                    "`batch_selector.num_learner_layers` is set: a sharded stack runs as a whole."
                )

        schedule = self.lr_scheduler.config

        if (
            isinstance(schedule, PolynomialDecayLRConfig)
            and regime.num_steps is not None
            and schedule.num_warmup_steps >= regime.num_steps
        ):
            result.add_error(
                f"`lr_scheduler.config.num_warmup_steps` ({schedule.num_warmup_steps}) must be "
                f"less than `regime.num_steps` ({regime.num_steps})."
            )

        if self.early_stopping.patience is not None:
            needed = {
                "regime.score_metric": (regime.score_metric, " (nll_loss, bleu, chrf or comet)"),
                "regime.validate_every_n_steps": (regime.validate_every_n_steps, ""),
                "dataset.valid_split": (self.dataset.valid_split, ""),
            }

            for name, (value, choices) in needed.items():
                if value is None:
                    result.add_error(
                        f"`{name}` must be set{choices} where `early_stopping.patience` is."
                    )

        validation = self.validation

        measured = {
            "bleu": validation.bleu,
            "chrf": validation.chrf,
            "comet": validation.comet is not None,
        }
        if not measured.get(regime.score_metric or "", True):
            result.add_error(
                f"`validation.{regime.score_metric}` must be asked for to be `regime.score_metric`."
            )

        adapter = self.adapter.config

        if isinstance(adapter, LoraConfig):
            if (
                adapter.base_dtype not in (None, "float32")
                and self.trainer.mixed_precision.mode == "off"
            ):
                result.add_error(
                    f"`trainer.mixed_precision.mode` must be auto where "
                    f"`adapter.config.base_dtype` is {adapter.base_dtype}."
                )

            if adapter.base_dtype == "nf4" and self.trainer.data_parallelism == "fsdp":
                result.add_error(
                    "`trainer.data_parallelism` must be ddp where `adapter.config.base_dtype` is "
                    "nf4: weights of 4 bits are not shared out."
                )

            if adapter.base_dtype == "nf4" and self.gang.tensor_parallel_size != 1:
                result.add_error(
                    "`gang.tensor_parallel_size` must be 1 where `adapter.config.base_dtype` is "
                    "nf4: weights of 4 bits are not shared out."
                )

            if adapter.train_beside and self.model.dtype != torch.float32:
                result.add_error(
                    "`model.dtype` must be float32 where `adapter.config.train_beside` is set; "
                    "`adapter.config.base_dtype` saves as much."
                )

        if self.trainer.grad_accumulation.num_batches != 1:
            result.add_error(
                "`trainer.grad_accumulation.num_batches` must be 1: a step accumulates the "
                "micro-batches of its sub-batch, as many as `dataset.max_num_tokens` makes of it."
            )

        return result
