"""The package's own errors as one logged sentence and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Final

from fairseq2.runtime.dependency import DependencyContainer

_ERRORS: Final = (
    "fairseq2_jest.adapters.errors:AdapterError",
    "fairseq2_jest.augmentation.errors:AugmentationError",
    "fairseq2_jest.cli.usage:UsageError",
    "fairseq2_jest.corpus.errors:CorpusError",
    "fairseq2_jest.embedding.errors:EmbeddingError",
    "fairseq2_jest.evaluation.errors:EvaluationError",
    "fairseq2_jest.influence.errors:InfluenceError",
    "fairseq2_jest.models.errors:ModelError",
    "fairseq2_jest.selection.errors:SelectionError",
    "fairseq2_jest.selection.errors:ResumeError",
    "fairseq2_jest.training.errors:TrainingError",
    "fairseq2_jest.translation.errors:TranslationError",
)


def own_errors() -> tuple[type[Exception], ...]:
    """The errors whose message is a sentence for the user."""

    def load(path: str) -> type[Exception]:
        module, name = path.split(":")

        error: type[Exception] = getattr(import_module(module), name)

        return error

    return tuple(load(path) for path in _ERRORS)


def register_error_handlers(container: DependencyContainer) -> None:
    """Let fairseq2's recipe program end with one sentence, not a traceback, at an own error.

    Meant to be called by the extension, for recipes of others to have it, too. Outside of a
    recipe program there is nothing to register, and importing one would take ten seconds.
    """
    cli = sys.modules.get("fairseq2.recipe.cli")

    # The module is there but unfinished while it is itself being imported.
    register = getattr(cli, "register_cli_error", None)

    if register is None:
        return

    for error in own_errors():
        for kls in _with_subclasses(error):
            register(container, kls, _log_sentence)


def _with_subclasses(kls: type[Exception]) -> Iterator[type[Exception]]:
    # fairseq2 looks handlers up by the exact type.
    yield kls

    for sub_kls in kls.__subclasses__():
        yield from _with_subclasses(sub_kls)


def _log_sentence(ex: Exception) -> int:
    from fairseq2.logging import log

    # The message may hold braces, and log formats what it is given.
    log.error("{}", ex)

    return 2
