"""The config of the adapter `lora`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from fairseq2.utils.validation import Validatable, ValidationResult
from typing_extensions import override


@dataclass(frozen=True, kw_only=True)
class LoraConfig(Validatable):
    """Low-rank adaptation (LoRA, Hu et al. 2021, arXiv 2106.09685), by peft.

    To the output of a frozen linear layer ``W x`` comes ``s B A x``, of which the ``r x in`` matrix
    ``A`` and the ``out x r`` matrix ``B`` are trained. ``B`` begins at 0.
    """

    rank: int = 16
    """The rank ``r``."""

    alpha: int = 32
    """The scale ``s`` is ``alpha / rank``."""

    dropout: float = 0.05
    """The dropout of what goes into ``A``."""

    targets: Sequence[str] | None = None
    """Regular expressions; a linear layer whose whole name one of them matches is adapted. ``None``
    for those of attention and feed-forward networks in all layers."""

    train_beside: Sequence[str] = ()
    """Regular expressions; a module whose whole name one of them matches is trained itself, beside
    the adapters. With ``.*embed`` the embeddings are, in all of their places."""

    dora: bool = False
    """Whether the length of each of ``W``'s rows is trained apart from its direction (DoRA, Liu et
    al. 2024, arXiv 2402.09353)."""

    rslora: bool = False
    """Whether the scale is ``alpha / sqrt(rank)``, with which high ranks learn more (rsLoRA,
    Kalajdzievski 2023, arXiv 2312.03732)."""

    base_dtype: Literal["float32", "bfloat16", "float16", "nf4"] | None = None
    """What the frozen matrices are held in, which needs mixed precision; ``None`` for
    ``model.dtype``. With ``nf4`` the linear layers are held in 4 bits (QLoRA, Dettmers et al. 2023,
    arXiv 2305.14314, without double quantisation), and embeddings and the projection to the
    vocabulary in bfloat16; that needs a CUDA GPU and bitsandbytes. What is trained is held in
    float32."""

    @override
    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.rank < 1:
            result.add_error(f"`rank` must be at least 1, but is {self.rank}.")
        if self.alpha < 1:
            result.add_error(f"`alpha` must be at least 1, but is {self.alpha}.")
        if not 0.0 <= self.dropout < 1.0:
            result.add_error(f"`dropout` must be in [0, 1), but is {self.dropout}.")
        if self.targets is not None and not self.targets:
            result.add_error("`targets` must name a layer, or be null for the default.")

        for field, pattern in self._patterns():
            try:
                re.compile(pattern)
            except re.error as ex:
                result.add_error(f"`{field}` has {pattern}, which is no regular expression ({ex}).")

        return result

    def _patterns(self) -> Iterator[tuple[str, str]]:
        for pattern in self.targets or ():
            yield "targets", pattern
        for pattern in self.train_beside:
            yield "train_beside", pattern
