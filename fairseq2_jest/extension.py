"""The entry point `fairseq2.extension`: says what is registered, and nothing else.

A broken extension breaks every fairseq2 program of an environment, so it is short; what costs time
to import is imported when it is first asked for.
"""

from __future__ import annotations

from fairseq2.runtime.dependency import DependencyContainer


def setup_fairseq2_extension(container: DependencyContainer) -> None:
    """Registers the plugin's data set family, components, architectures, metrics and cards.

    :raises RuntimeError: Something is registered twice or has moved in fairseq2.
    """
    try:
        _register(container)
    except TypeError as ex:
        # fairseq2 takes a TypeError for a wrong signature, and then ends every program.
        raise RuntimeError(f"fairseq2_jest cannot be registered: {ex}") from ex


def _register(container: DependencyContainer) -> None:
    from fairseq2.composition import register_dataset_family, register_package_assets

    from fairseq2_jest.adapters.registration import register_adapter_checkpoints
    from fairseq2_jest.cli.errors import register_error_handlers
    from fairseq2_jest.corpus.config import ParallelTextConfig
    from fairseq2_jest.corpus.dataset import ParallelText, open_parallel_text
    from fairseq2_jest.embedding.builtin_tokenizer import register_builtin_tokenizer
    from fairseq2_jest.models.registration import register_translation_models
    from fairseq2_jest.models.tiny import register_tiny_models

    register_dataset_family(
        container,
        "parallel_text",
        ParallelText,
        ParallelTextConfig,
        opener=open_parallel_text,
    )

    register_package_assets(container, "fairseq2_jest._data.assets")
    register_builtin_tokenizer(container)
    register_tiny_models(container)
    register_translation_models(container)
    register_adapter_checkpoints(container)
    register_error_handlers(container)

    _register_components(container)


def _register_components(container: DependencyContainer) -> None:
    import sys

    # Recipes are what has components and metrics; importing that part of fairseq2 takes seconds,
    # and a program that loads a model or a tokenizer never needs it.
    if "fairseq2.recipe" not in sys.modules:
        return

    from fairseq2_jest.recipes.components import register_components
    from fairseq2_jest.training.metrics import register_metrics

    register_components(container)
    register_metrics(container)
