"""COMET over the translations of all ranks."""

from __future__ import annotations

import json
from collections.abc import Sequence

import torch
from fairseq2.gang import Gang
from torch import Tensor

from fairseq2_jest.evaluation.comet.scorer import CometScorer
from fairseq2_jest.evaluation.errors import EvaluationError

Sample = tuple[int, str, str, str]
"""A row of the corpus, its source, its translation and its reference."""


class GatheredComet:
    """Collects translations, and lets the first rank score them.

    They are scored in the order of their rows: scores do not depend on the number of ranks.
    """

    def __init__(self, scorer: CometScorer | None, gang: Gang) -> None:
        """
        :param scorer: That of the first rank; ``None`` on others.
        """
        self._scorer = scorer
        self._gang = gang
        self._samples: list[Sample] = []

    @property
    def signature(self) -> str:
        """Of the scores; on the first rank."""
        assert self._scorer is not None

        return f"COMET|{self._scorer.identity.signature}"

    def reset(self) -> None:
        """Forgets what was collected."""
        self._samples = []

    def add(self, samples: Sequence[Sample]) -> None:
        """Collects translations of this rank."""
        self._samples += samples

    def gather(self) -> None:
        """Brings together what the ranks have collected; a collective."""
        shares = gather_bytes(json.dumps(self._samples).encode(), self._gang)

        self._samples = sorted(tuple(sample) for share in shares for sample in json.loads(share))

    def score(self) -> float:
        """The mean over all translations; on the first rank, once they are gathered.

        :raises EvaluationError: There are none, or COMET has a fault.
        """
        assert self._scorer is not None

        if not self._samples:
            raise EvaluationError(
                "No validation pair was translated for COMET to score; raise "
                "validation.max_num_examples or dataset.max_seq_len."
            )

        _, sources, translations, references = zip(*self._samples, strict=True)

        scores = self._scorer.score(sources, translations, references)

        return sum(scores) / len(scores)


def gather_bytes(mine: bytes, gang: Gang) -> list[bytes]:
    """What each rank has, in their order, on all of them; a collective."""
    if gang.size == 1:
        return [mine]

    sizes = [int(size) for size in _gather(torch.tensor([len(mine)]), gang)]

    padded = torch.zeros(max(sizes), dtype=torch.uint8)
    padded[: len(mine)] = torch.frombuffer(bytearray(mine), dtype=torch.uint8)

    return [
        bytes(share[:size].cpu().numpy())
        for share, size in zip(_gather(padded, gang), sizes, strict=True)
    ]


def _gather(mine: Tensor, gang: Gang) -> list[Tensor]:
    mine = mine.to(gang.device)

    shares = [torch.empty_like(mine) for _ in range(gang.size)]

    gang.all_gather_to_list(shares, mine)

    return shares
