"""The recipe of `fairseq2 mt evaluate`."""

from __future__ import annotations

from fairseq2.recipe.base import Recipe, RecipeContext
from fairseq2.task import Task
from sacrebleu.metrics.base import Metric
from typing_extensions import override

from fairseq2_jest.corpus.dataset import ParallelText
from fairseq2_jest.evaluation.comet.scorer import CometScorer
from fairseq2_jest.evaluation.errors import EvaluationError
from fairseq2_jest.evaluation.metrics import Comet, create_metrics
from fairseq2_jest.evaluation.overlap import find_overlap
from fairseq2_jest.recipes.evaluate.config import EvaluateConfig
from fairseq2_jest.recipes.evaluate.inputs import Inputs, read_inputs
from fairseq2_jest.recipes.evaluate.task import EvaluateTask


class EvaluateRecipe(Recipe):
    """Scores translations, and tests whether systems differ."""

    @override
    def create_task(self, context: RecipeContext) -> Task:
        config = context.get_config_as(EvaluateConfig)

        if context.gangs.root.size > 1:
            raise EvaluationError("mt evaluate runs in one process; start it without torchrun.")

        inputs = read_inputs(config)

        metrics = create_metrics(
            config.metrics, inputs.direction.target, inputs.reference_texts, "metrics"
        )

        overlap = None

        if config.dataset is not None:
            corpus = context.get_dataset_as(ParallelText).open(config.dataset.train_split)

            overlap = find_overlap(
                None if inputs.source is None else inputs.source.texts,
                inputs.reference_texts,
                corpus,
                inputs.direction,
            )

        # Last, for it takes long to load.
        scorer = _start_comet(context)

        if scorer is not None:
            metrics.append(_comet_metric(scorer, inputs))

        return EvaluateTask(
            inputs, metrics, config.significance, overlap, scorer, context.output_dir
        )

    @property
    @override
    def config_kls(self) -> type[object]:
        return EvaluateConfig


def _start_comet(context: RecipeContext) -> CometScorer | None:
    config = context.get_config_as(EvaluateConfig).metrics.comet

    if config is None:
        return None

    return CometScorer(config, context.output_dir / "comet.log", field="metrics.comet")


def _comet_metric(scorer: CometScorer, inputs: Inputs) -> Metric:
    assert inputs.source is not None

    return Comet(scorer, inputs.source.texts, inputs.reference_texts)
