"""The built-in English-German corpus: a synchronous grammar, its lexicon, and a noise maker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fairseq2_jest.corpus.builtin.config import NOISE_KINDS, BuiltinConfig

if TYPE_CHECKING:
    from fairseq2_jest.corpus.builtin.generation import VERSION, LabelledPair, generate

__all__ = ["NOISE_KINDS", "VERSION", "BuiltinConfig", "LabelledPair", "generate"]


def __getattr__(name: str) -> Any:
    # Whoever reads a config imports this package; the lexicon costs as much as all the rest.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    from fairseq2_jest.corpus.builtin import generation

    return getattr(generation, name)
