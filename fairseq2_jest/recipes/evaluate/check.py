"""`fairseq2 mt check evaluate`: what would be scored, and with what, without starting."""

from __future__ import annotations

from fairseq2.recipe.base import RecipeContext
from fairseq2.runtime.dependency import get_dependency_resolver

from fairseq2_jest.corpus.dataset import ParallelText
from fairseq2_jest.evaluation.comet.interpreter import find_interpreter
from fairseq2_jest.evaluation.metrics import create_metrics
from fairseq2_jest.recipes.evaluate.config import EvaluateConfig
from fairseq2_jest.recipes.evaluate.inputs import read_inputs


def check(config: EvaluateConfig) -> list[str]:
    """Reads all files, looks for tokenizers and COMET, and returns a line about each part.

    :raises EvaluationError: Files do not belong together, or a tokenizer or COMET is missing.
    :raises TranslationError: A line cannot be read.
    :raises CorpusError: A file cannot be read, or the training data cannot be prepared.
    """
    inputs = read_inputs(config)

    create_metrics(config.metrics, inputs.direction.target, inputs.reference_texts, "metrics")

    lines = [
        f"{name}: {file.path}, {len(file.texts):,} lines" for name, file in inputs.systems.items()
    ]

    lines.append(f"references: {', '.join(str(file.path) for file in inputs.references)}")

    if config.dataset is not None:
        dataset = RecipeContext(get_dependency_resolver()).get_dataset_as(ParallelText)

        corpus = dataset.open(config.dataset.train_split)

        lines.append(f"training data: {len(corpus):,} pairs")

    if config.metrics.comet is not None:
        python = find_interpreter(config.metrics.comet, "metrics.comet")

        lines.append(f"COMET: {config.metrics.comet.model}, by {python}")

    return lines
