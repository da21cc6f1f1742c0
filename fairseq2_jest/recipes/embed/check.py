"""`fairseq2 mt check embed`: what would be embedded, without starting."""

from __future__ import annotations

from fairseq2.recipe.base import RecipeContext
from fairseq2.runtime.dependency import get_dependency_resolver

from fairseq2_jest.corpus.dataset import ParallelText
from fairseq2_jest.embedding.reference import SentenceTransformerConfig, check_reference
from fairseq2_jest.recipes.embed.config import EmbedConfig


def check(config: EmbedConfig) -> list[str]:
    """Opens the split, looks for the reference, and returns a line about each.

    :raises CorpusError: The corpus cannot be prepared.
    :raises EmbeddingError: The reference model is neither here nor can it be downloaded.
    """
    context = RecipeContext(get_dependency_resolver())

    corpus = context.get_dataset_as(ParallelText).open(config.dataset.train_split)

    directions = ", ".join(str(direction) for direction in corpus.directions)

    lines = [f"{config.dataset.train_split}: {len(corpus):,} pairs, {directions}"]

    reference = config.reference_encoder.config

    if isinstance(reference, SentenceTransformerConfig):
        check_reference(reference)

        lines.append(f"reference: {reference.model}")

    return lines
