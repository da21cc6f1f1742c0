"""Completing the exports that fairseq2 makes during a run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.logging import log
from fairseq2.models.hg import HuggingFaceConfig
from fairseq2.recipe.base import RecipeContext
from fairseq2.recipe.config import ModelSection, TokenizerSection
from fairseq2.trainer import Trainer, TrainStepHookArgs

from fairseq2_jest.evaluation.errors import EvaluationError
from fairseq2_jest.models.hugging_face.causal import find_converter
from fairseq2_jest.models.hugging_face.export import complete_export, hugging_face_tokenizer
from fairseq2_jest.recipes.export.card import write_card
from fairseq2_jest.recipes.export.export import CARD, tokenizer_file
from fairseq2_jest.recipes.model_kinds import model_family
from fairseq2_jest.report.errors import ReportError
from fairseq2_jest.report.runs import read_run


def create_export_tokenizer(
    context: RecipeContext, model: ModelSection, section: TokenizerSection, tokenizer: Tokenizer
) -> Any:
    """The tokenizer of transformers for the exports of a run, before its model is loaded.

    :param tokenizer: What ``section`` names.

    :raises ModelError: The model or the tokenizer has no counterpart in transformers.
    """
    find_converter(model_family(context, model))

    file = section.path or tokenizer_file(str(section.name), context.resolver)

    return hugging_face_tokenizer(tokenizer, file)


def complete_exports(
    trainer: Trainer,
    output_dir: Path,
    checkpoint_dir: Path,
    tokenizer: Tokenizer,
    inner: Any,
    target_langs: Collection[str],
    model_config: HuggingFaceConfig,
) -> None:
    """Adds the tokenizer and a model card to each ``step_N/hg``; for the first rank.

    :param output_dir: The folder of the run.
    :param inner: What :func:`create_export_tokenizer` gives for ``tokenizer``.
    :param target_langs: The languages that the run trains to translate into.
    :param model_config: What the config of the model should say.
    """

    def complete(args: TrainStepHookArgs) -> None:
        folder = checkpoint_dir / f"step_{args.step_nr}" / "hg"

        try:
            complete_export(folder, tokenizer, inner, target_langs, model_config)

            write_card(folder / CARD, read_run(output_dir), args.step_nr)
        except (EvaluationError, ReportError, OSError) as ex:
            # As at an error of fairseq2's own export, the run goes on.
            log.warning("The export of step {} is not complete: {}", args.step_nr, ex)

    trainer.register_hg_export_hook(complete)
