"""The built-in English-German corpus: a synchronous grammar, its lexicon, and a noise maker."""

from __future__ import annotations

from fairseq2_jest.corpus.builtin.config import NOISE_KINDS, BuiltinConfig
from fairseq2_jest.corpus.builtin.generation import VERSION, LabelledPair, generate

__all__ = ["NOISE_KINDS", "VERSION", "BuiltinConfig", "LabelledPair", "generate"]
