"""`fairseq2 mt check`: what a fine-tune would read, without starting one."""

from __future__ import annotations

from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.error import ModelTypeNotValidError
from fairseq2.runtime.dependency import get_dependency_resolver
from torch.nn import Module

from fairseq2_jest.corpus.dataset import ParallelText
from fairseq2_jest.corpus.mixing import Mix
from fairseq2_jest.embedding.reference import SentenceTransformerConfig, check_reference
from fairseq2_jest.embedding.text_stack import create_text_stack
from fairseq2_jest.evaluation.comet.interpreter import find_interpreter
from fairseq2_jest.evaluation.validation import check_tokenizers
from fairseq2_jest.recipes.adapting import check_adapter
from fairseq2_jest.recipes.empty_model import open_empty_model
from fairseq2_jest.recipes.export.hook import create_export_tokenizer
from fairseq2_jest.recipes.finetune.comet import FIELD
from fairseq2_jest.recipes.finetune.config import FinetuneConfig
from fairseq2_jest.recipes.finetune.schedule import schedule_warning
from fairseq2_jest.recipes.model_kinds import ModelKind, create_model_kind
from fairseq2_jest.recipes.reading import (
    check_reference_fit,
    check_reference_model,
    check_size,
    create_selector,
)


def check(config: FinetuneConfig) -> list[str]:
    """Opens the splits, checks their languages, and returns a line about each part of the run.

    :raises AdapterError: The adapter does not fit the model or the machine.
    :raises CorpusError: A corpus cannot be prepared, or the tokenizer lacks a language.
    :raises EmbeddingError: The reference encoder is neither here nor can it be downloaded, or the
        model has fewer layers than the learner shall have.
    :raises EvaluationError: COMET or a tokenizer of BLEU is asked for, and not there.
    :raises ModelError: The run is to export what has no counterpart in transformers.
    :raises SelectionError: A super-batch is too large, or the reference model is not named, or has
        another vocabulary.
    :raises TrainingError: A model does not fit the tokenizer or the length of sequences.
    :raises ModelTypeNotValidError: The reference model is of another kind than the model.
    """
    context = RecipeContext(get_dependency_resolver())

    dataset, tokenizer = context.get_dataset_as(ParallelText), context.get_tokenizer()

    kind = create_model_kind(context, config.model, tokenizer, config.prompt)

    if config.regime.export_hugging_face:
        create_export_tokenizer(context, config.model, config.tokenizer, tokenizer)

    lines = []

    for split in (config.dataset.train_split, config.dataset.valid_split):
        if split is None:
            continue

        corpus = dataset.open(split)

        kind.check_languages(corpus)

        directions = ", ".join(str(direction) for direction in corpus.directions)

        lines.append(f"{split}: {len(corpus):,} pairs, {directions}")
        lines += [f"  {part.summary}" for part in corpus.parts]

        if split == config.dataset.train_split:
            num_train = len(corpus)

            if corpus.has_synthetic:
                lines.append(f"  {Mix.of(corpus, config.dataset.synthetic_ratio)}")

        if split == config.dataset.valid_split:
            check_tokenizers(config.validation, corpus.directions)

    model = open_empty_model(context, config.model)

    if model is not None:
        kind.check_fit(model, "the model", config.dataset.max_seq_len)

    selector = create_selector(context, config.batch_selector)

    check_size(selector, num_train)

    if selector.needs_learner and model is not None:
        num_layers = config.batch_selector.num_learner_layers

        create_text_stack(model, tokenizer, num_layers=num_layers)

    if selector.needs_reference_loss:
        _check_reference_model(context, config, kind, model)

    # It changes the model: who looks at that as it was goes before.
    line = check_adapter(context, model, config.adapter, model_section=config.model)

    if line is not None:
        lines.append(line)

    lines.append(
        f"{config.batch_selector.name}: trains on {selector.sub_batch_size:,} of each "
        f"{selector.super_batch_size:,} pairs"
    )

    reference = config.reference_encoder.config

    needs_reference = selector.needs_reference or config.dataset.min_reference_score is not None

    if needs_reference and isinstance(reference, SentenceTransformerConfig):
        check_reference(reference)

        lines.append(f"reference: {reference.model}")

    comet = config.validation.comet

    if comet is not None and config.dataset.valid_split is not None:
        lines.append(f"COMET: {comet.model}, by {find_interpreter(comet, FIELD)}")

    warning = schedule_warning(config)

    if warning is not None:
        lines.append(f"warning: {warning}")

    return lines


def _check_reference_model(
    context: RecipeContext, config: FinetuneConfig, kind: ModelKind, model: Module | None
) -> None:
    name = check_reference_model(None if config.reference_model is None else "reference_model")

    assert config.reference_model is not None

    frozen = open_empty_model(context, config.reference_model, name)

    if frozen is None or model is None:
        return

    if not isinstance(frozen, kind.model_class):
        raise ModelTypeNotValidError(type(frozen), kind.model_class, name)

    check_reference_fit(kind, model, frozen, name, config.dataset.max_seq_len)
