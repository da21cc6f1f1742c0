"""What decides every score: one output directory holds scores of one kind only."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from fairseq2.recipe.config import TokenizerSection
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.structured import ValueConverter
from numpy.typing import NDArray
from torch.nn import Module

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.manifest import json_sha256
from fairseq2_jest.embedding.digest import digest_of_model
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.layers import TrackedLayer
from fairseq2_jest.recipes.model_kinds import ModelKind
from fairseq2_jest.recipes.select.config import SelectConfig
from fairseq2_jest.recipes.select.sections import ScoringModelSection, WarmupSection


def identity_of(
    config: SelectConfig,
    kind: ModelKind,
    model: Module,
    layers: tuple[TrackedLayer, ...],
    pool: Corpus,
    trusted: Corpus,
    seed_rows: NDArray[np.int64],
    seeds: TokenizedPairs,
) -> dict[str, object]:
    """Everything that decides a score or a feature, ready for JSON."""
    scoring = config.scoring

    return {
        "model": digest_of_model(model),
        "warmup": None if config.warmup is None else _schedule(config.warmup),
        "dtype": str(config.model.dtype),
        **_precision(config),
        "pool": pool.digest,
        "seeds": json_sha256([trusted.digest, seed_rows.tolist()]),
        # Stands for the tokenizer, too.
        "seed_tokens": json_sha256([side.tolist() for side in (*seeds.source, *seeds.target)]),
        **kind.identity(),
        "max_seq_len": config.dataset.max_seq_len,
        # Which pairs are batched together decides the last bits of their scores.
        "max_num_tokens": config.dataset.max_num_tokens,
        "layers": [layer.name for layer in layers],
        "curvature": asdict(config.curvature),
        "reduction": scoring.reduction,
        "max_discarded": scoring.max_discarded,
        "rank": scoring.rank,
        "block_size": scoring.block_size,
        "precision": scoring.precision,
        "projection_side": config.diversity.projection_side,
        "seed": config.common.seed,
    }


def warmup_identity(
    config: SelectConfig,
    section: WarmupSection,
    kind: ModelKind,
    pool: Corpus,
    resolver: DependencyResolver,
) -> dict[str, object]:
    """Everything that decides the model of a warm-up, ready for JSON.

    What it begins with counts by its name, since it is not loaded where the warm-up is there.
    """
    converter = resolver.resolve(ValueConverter)

    def named(asset: ScoringModelSection | TokenizerSection, *fields: str) -> dict[str, object]:
        fields = ("name", "path", "family", *fields, "config_overrides")

        return {field: converter.unstructure(getattr(asset, field)) for field in fields}

    return {
        **_schedule(section),
        "model": named(config.model, "arch"),
        "tokenizer": named(config.tokenizer),
        **kind.identity(),
        "pool": pool.digest,
        "max_seq_len": config.dataset.max_seq_len,
        **_precision(config),
        "seed": config.common.seed,
    }


def _schedule(section: WarmupSection) -> dict[str, object]:
    return {
        "num_steps": section.num_steps,
        "batch_size": section.batch_size,
        "lr": section.lr,
    }


def _precision(config: SelectConfig) -> dict[str, object]:
    scoring, torch = config.scoring, config.common.torch

    return {
        "amp": str(scoring.amp_dtype) if scoring.amp else None,
        "allow_tf32": torch.allow_tf32,
        "fp16_reduced_precision": torch.fp16_reduced_precision,
        "bf16_reduced_precision": torch.bf16_reduced_precision,
    }
