"""What models of all kinds share that go through pairs by teacher forcing."""

from __future__ import annotations

from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.embedding.teacher_forcing import TeacherForcing
from fairseq2_jest.embedding.tokens import TokenizedPairs, batches_by_length
from fairseq2_jest.influence.model import PairModel


class ForcedPairModel(PairModel):
    """Takes format and head from how pairs are forced; what is predicted is left to each kind."""

    def __init__(self, model: Module, forcing: TeacherForcing, max_num_tokens: int) -> None:
        self._module = model
        self._forcing = forcing
        self._max_num_tokens = max_num_tokens

    @property
    @override
    def module(self) -> Module:
        return self._module

    @property
    @override
    def vocab_size(self) -> int:
        return self._forcing.vocab_size

    @property
    @override
    def head(self) -> Module:
        return self._forcing.head

    @override
    def batches(self, pairs: TokenizedPairs) -> list[list[int]]:
        lengths = self._forcing.format.pass_lengths(pairs)

        return list(batches_by_length(lengths, self._max_num_tokens))
