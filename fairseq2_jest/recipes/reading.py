"""Puts a selecting data reader together from a recipe's context and sections."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.logging import log
from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.component import ComponentManager
from numpy.typing import NDArray
from torch.nn import Module

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.mixing import Mix
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.digest import digest_of_model
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.reference import ReferenceEncoder
from fairseq2_jest.embedding.reference_loss import ReferenceLoss
from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.recipes.model_kinds import EncoderDecoderKind, ModelKind
from fairseq2_jest.recipes.sections import (
    BatchSelectorSection,
    BitextSection,
    ReferenceEncoderSection,
)
from fairseq2_jest.selection.audit import AuditConfig, SelectionAudit
from fairseq2_jest.selection.embedder import SuperBatchEmbedder
from fairseq2_jest.selection.errors import SelectionError
from fairseq2_jest.selection.log import SelectionLog
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.selector import BatchSelector
from fairseq2_jest.selection.tokenizing import SuperBatchReader


def create_selecting_reader(
    context: RecipeContext,
    corpus: Corpus,
    tokenizer: Tokenizer,
    *,
    dataset: BitextSection,
    batch_selector: BatchSelectorSection,
    reference_encoder: ReferenceEncoderSection,
    reference_store: ReferenceStoreConfig | None = None,
    reference_model: str | None = None,
    seed: int,
    num_steps: int | None = None,
    autocast_dtype: torch.dtype | None = None,
    log_file: Path | None = None,
    audit: AuditConfig | None = None,
    kind: ModelKind | None = None,
) -> SelectingDataReader:
    """Builds the reader that trains on what a selector chooses, for any recipe.

    :param reference_store: How the reference's embeddings are kept; by default as it says itself.
    :param reference_model: The section of the config that names the reference model, for selectors
        that ask for its loss; registered with fairseq2's ``register_reference_model``.
    :param seed: Decides the order of the corpus and the draws.
    :param num_steps: How many steps the run has, for weights that change over it.
    :param autocast_dtype: The dtype of the run's mixed precision, ``None`` where it has none.
    :param log_file: Where to log the chosen rows; ``None`` for nowhere.
    :param audit: How to audit choices, beside ``log_file``; ``None`` for not at all.
    :param kind: How pairs are put to the model; by default as to an encoder-decoder model.

    :raises CorpusError: The tokenizer lacks a language of the corpus.
    :raises EmbeddingError: The reference does not load.
    :raises SelectionError: The selector asks for a reference model, and none is named, or one of
        another vocabulary.
    :raises TrainingError: The reference model has too few tokens or takes too short texts.
    """
    if kind is None:
        kind = EncoderDecoderKind(tokenizer)

    kind.check_languages(corpus)

    selector = create_selector(context, batch_selector)

    learner = learner_loss = reference_loss = None

    forward_pass = ForwardPass(
        context.get_model(),
        device=context.device,
        max_num_tokens=dataset.max_num_tokens,
        autocast_dtype=autocast_dtype,
        gang=context.gangs.dp,
    )

    if selector.needs_learner:
        learner = LearnerEncoder(
            forward_pass, tokenizer, num_layers=batch_selector.num_learner_layers
        )

    elif batch_selector.num_learner_layers is not None:
        log.warning(
            "batch_selector.num_learner_layers is not used: the selector does not ask for the "
            "learner's similarity."
        )

    if selector.needs_learner_loss:
        learner_loss = TranslationLoss(forward_pass, tokenizer)

    if selector.needs_reference_loss:
        section = check_reference_model(reference_model)

        frozen = context.get_model_as(kind.model_class, section)

        check_reference_fit(kind, context.get_model(), frozen, section, dataset.max_seq_len)

        reference_loss = open_reference_loss(
            ForwardPass(frozen, device=context.device, max_num_tokens=dataset.max_num_tokens),
            corpus,
            tokenizer,
        )
    elif reference_model is not None:
        log.warning(
            "{} is not used: batch_selector does not ask for its loss; set its learner_view to "
            "reducible_loss.",
            reference_model,
        )

    reference = None

    if selector.needs_reference or dataset.min_reference_score is not None:
        reference = open_reference(context, corpus, reference_encoder, reference_store)

    kept = _rows_of_score(corpus, reference, dataset.min_reference_score)

    mix = Mix.of(corpus, dataset.synthetic_ratio, kept)

    mix.log()

    sampler = CorpusSampler(corpus.sizes, mix.weights, seed=seed, kept=kept)

    check_size(selector, sampler.num_rows)

    pair_reader = kind.pair_reader(
        corpus, max_seq_len=dataset.max_seq_len, tag_synthetic=dataset.tag_synthetic
    )

    return SelectingDataReader(
        corpus=corpus,
        super_batches=SuperBatchReader(sampler, pair_reader, selector.super_batch_size),
        selector=selector,
        embedder=SuperBatchEmbedder(
            selector,
            context.gangs,
            learner=learner,
            learner_loss=learner_loss,
            reference=reference,
            reference_loss=reference_loss,
            max_num_tokens=batch_selector.max_learner_tokens,
        ),
        batcher=kind.batcher(max_num_tokens=dataset.max_num_tokens),
        gangs=context.gangs,
        seed=seed + 1,
        num_steps=num_steps,
        log=None if log_file is None else SelectionLog(log_file),
        audit=None
        if log_file is None or audit is None
        else SelectionAudit(audit, log_file.with_name("selection_audit.jsonl"), corpus),
    )


def create_selector(context: RecipeContext, section: BatchSelectorSection) -> BatchSelector:
    """The selector that a section names."""
    components = context.resolver.resolve(ComponentManager)

    return components.create_component(BatchSelector, section.name, section.config)


def create_reference(context: RecipeContext, section: ReferenceEncoderSection) -> ReferenceEncoder:
    """The reference encoder that a section names.

    :raises EmbeddingError: It does not load.
    """
    components = context.resolver.resolve(ComponentManager)

    return components.create_component(ReferenceEncoder, section.name, section.config)


def open_reference(
    context: RecipeContext,
    corpus: Corpus,
    section: ReferenceEncoderSection,
    store: ReferenceStoreConfig | None = None,
) -> CachedReference:
    """The reference's view of a corpus; whoever names the same is served from the same store.

    :param store: How embeddings are kept; by default as it says itself.

    :raises EmbeddingError: The reference does not load, or its store cannot be opened.
    """
    return CachedReference.open(
        create_reference(context, section),
        corpus,
        corpus_digest=corpus.digest,
        num_rows=len(corpus),
        config=store,
    )


def open_reference_loss(
    forward_pass: ForwardPass, corpus: Corpus, tokenizer: Tokenizer
) -> ReferenceLoss:
    """What a frozen translation model loses on a corpus; the same model is served from the same
    store.

    :raises EmbeddingError: The model does not translate, or its store cannot be opened.
    """
    return ReferenceLoss.open(
        TranslationLoss(forward_pass, tokenizer),
        model_digest=digest_of_model(forward_pass.model),
        corpus_digest=corpus.digest,
        num_rows=len(corpus),
    )


def check_reference_fit(
    kind: ModelKind, model: Module, frozen: Module, section: str, max_seq_len: int
) -> None:
    """
    :param kind: That of ``model``, which is trained.
    :param frozen: The reference model, of the same kind.
    :param section: The section that names it.

    :raises SelectionError: Their vocabularies differ.
    :raises TrainingError: It lacks tokens of the tokenizer, or ``max_seq_len`` is too much for it.
    """
    kind.check_fit(frozen, section, max_seq_len)

    own, other = kind.vocab_size(model), kind.vocab_size(frozen)

    if own != other:
        raise SelectionError(
            f"The model has a vocabulary of {own:,} tokens, {section} one of {other:,}, so that "
            f"their losses do not compare; name a fine-tune of the same base model."
        )


def check_reference_model(section: str | None) -> str:
    """
    :raises SelectionError: No reference model is named.
    """
    if section is None:
        raise SelectionError(
            "batch_selector.config.learner_view is reducible_loss, which needs a reference model: "
            "name one that was trained on pairs you trust in reference_model, such as a checkpoint "
            "of `fairseq2 mt finetune --preset iid`, or set learner_weight to 0."
        )

    return section


def _rows_of_score(
    corpus: Corpus, reference: CachedReference | None, min_score: float | None
) -> NDArray[np.int64] | None:
    """The rows that the reference scores no lower, ascending; ``None`` for all."""
    if reference is None or min_score is None:
        return None

    log.info("Scoring {:,} pairs, as far as the store does not have them.", len(corpus))

    kept: NDArray[np.int64] = np.flatnonzero(reference.scores() >= min_score)

    log.info(
        "{:,} pair(s), {:.1%}, have a reference score of at least {}.",
        len(kept),
        len(kept) / len(corpus),
        min_score,
    )

    return kept


def check_size(selector: BatchSelector, num_rows: int) -> None:
    """
    :raises SelectionError: A super-batch is larger than all there is to choose from.
    """
    if selector.sub_batch_size < selector.super_batch_size and selector.super_batch_size > num_rows:
        raise SelectionError(
            f"batch_selector.config.super_batch_size is {selector.super_batch_size}, but there are "
            f"{num_rows} pair(s) to train on: lower it, or train on them all with "
            f"batch_selector.name=iid."
        )
