"""Completing the exports that fairseq2 makes during a run."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.logging import log
from fairseq2.models.hg import HuggingFaceConfig
from fairseq2.trainer import Trainer, TrainStepHookArgs

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.export import complete_export
from fairseq2_jest.recipes.export.card import write_card
from fairseq2_jest.recipes.export.export import CARD
from fairseq2_jest.report.errors import ReportError
from fairseq2_jest.report.runs import read_run


def complete_exports(
    trainer: Trainer,
    output_dir: Path,
    checkpoint_dir: Path,
    tokenizer: Tokenizer,
    tokenizer_file: Path,
    target_langs: Collection[str],
    model_config: HuggingFaceConfig,
) -> None:
    """Adds the tokenizer and a model card to each ``step_N/hg``; for the first rank.

    :param output_dir: The folder of the run.
    :param target_langs: The languages that the run trains to translate into.
    :param model_config: What the config of the model should say.
    """

    def complete(args: TrainStepHookArgs) -> None:
        folder = checkpoint_dir / f"step_{args.step_nr}" / "hg"

        try:
            complete_export(folder, tokenizer, tokenizer_file, target_langs, model_config)

            write_card(folder / CARD, read_run(output_dir), args.step_nr)
        except (ModelError, ReportError, OSError) as ex:
            # As at an error of fairseq2's own export, the run goes on.
            log.warning("The export of step {} is not complete: {}", args.step_nr, ex)

    trainer.register_hg_export_hook(complete)
