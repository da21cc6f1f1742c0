"""Machine-translation fine-tuning for fairseq2 with joint batch selection."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fairseq2_jest.corpus.dataset import Corpus as Corpus
    from fairseq2_jest.corpus.dataset import ParallelText as ParallelText
    from fairseq2_jest.embedding.reference import ReferenceEncoder as ReferenceEncoder
    from fairseq2_jest.recipes.reading import create_selecting_reader as create_selecting_reader
    from fairseq2_jest.recipes.sections import BatchSelectorSection as BatchSelectorSection
    from fairseq2_jest.recipes.sections import BitextSection as BitextSection
    from fairseq2_jest.recipes.sections import ReferenceEncoderSection as ReferenceEncoderSection
    from fairseq2_jest.selection.learnability import EmbeddedPairs as EmbeddedPairs
    from fairseq2_jest.selection.selector import BatchSelector as BatchSelector
    from fairseq2_jest.selection.selector import Selection as Selection
    from fairseq2_jest.selection.selector import SuperBatch as SuperBatch

__version__ = "0.1.0"

# Imported when first asked for: fairseq2's recipes alone take ten seconds.
_MODULES = {
    "BatchSelector": "selection.selector",
    "BatchSelectorSection": "recipes.sections",
    "BitextSection": "recipes.sections",
    "Corpus": "corpus.dataset",
    "EmbeddedPairs": "selection.learnability",
    "ParallelText": "corpus.dataset",
    "ReferenceEncoder": "embedding.reference",
    "ReferenceEncoderSection": "recipes.sections",
    "Selection": "selection.selector",
    "SuperBatch": "selection.selector",
    "create_selecting_reader": "recipes.reading",
}

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
