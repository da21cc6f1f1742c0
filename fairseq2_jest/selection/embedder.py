"""The views of a super-batch that a selector asks for, the ranks sharing the work."""

from __future__ import annotations

import numpy as np
import torch
from fairseq2.gang import Gang, Gangs
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import Module

from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.reference_loss import ReferenceLoss
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.metrics import names_of_means
from fairseq2_jest.selection.selector import BatchSelector, SuperBatch


class SuperBatchEmbedder:
    """Embeds super-batches: each rank its slice, which all ranks then gather."""

    def __init__(
        self,
        selector: BatchSelector,
        gangs: Gangs,
        *,
        learner: LearnerEncoder | None = None,
        learner_loss: TranslationLoss | None = None,
        reference: CachedReference | None = None,
        reference_loss: ReferenceLoss | None = None,
        max_num_tokens: int | None = None,
    ) -> None:
        """
        :param selector: Says which of the others are needed; what it does not ask for may be there.
        :param max_num_tokens: Of each side, how many tokens the models look at; ``None`` for all.
            The sentence encoder of ``reference`` reads texts and is not concerned.
        """
        self._selector = selector
        self._max_num_tokens = max_num_tokens
        self._gangs = gangs
        self._learner = learner if selector.needs_learner else None
        self._learner_loss = learner_loss if selector.needs_learner_loss else None
        self._reference = reference if selector.needs_reference else None
        self._reference_loss = reference_loss if selector.needs_reference_loss else None

        self.filled_tokens = (0, 0)
        """The tokens that the last super-batch took all ranks through the reference model, those
        that are read and those that are predicted from, since its store lacked them."""

    def embed(self, rows: NDArray[np.int64], pairs: TokenizedPairs, progress: float) -> SuperBatch:
        """Takes the views of a super-batch; a collective.

        :param rows: ``(N)``, distinct, the same on all ranks.
        :param pairs: Their tokens.
        :param progress: How far training is, 0 to 1.
        """
        reference = shortlist = learner = learner_loss = reference_loss = None

        gang = self._gangs.dp

        if self._reference is not None:
            source, target = (
                torch.from_numpy(side).to(self._gangs.device)
                for side in self._reference.embed(rows[_slice(len(rows), gang)])
            )

            reference = EmbeddedPairs(
                source=_gather(source, len(rows), gang), target=_gather(target, len(rows), gang)
            )

            shortlist = self._selector.shortlist(reference)

        listed = self._looked_at(pairs, shortlist)

        my_places = _slice(len(listed), gang)

        mine = listed.take(my_places.tolist())

        # A pass through the learner may be a collective, for which every rank needs a sequence.
        passed = mine if len(mine) > 0 else listed.take([0])

        if self._learner is not None:
            learner = EmbeddedPairs(
                source=_gather(self._learner.encode_source(passed), len(listed), gang),
                target=_gather(self._learner.encode_target(passed), len(listed), gang),
            )

        if self._learner_loss is not None:
            losses = self._learner_loss.score(passed).unsqueeze(1)

            learner_loss = _gather(losses, len(listed), gang).squeeze(1)

        if self._reference_loss is not None:
            listed_rows = rows if shortlist is None else rows[shortlist.cpu().numpy()]

            reference_loss = self._irreducible_loss(listed_rows, listed, my_places)

        return SuperBatch(
            num_rows=len(rows),
            reference=reference,
            shortlist=shortlist,
            learner=learner,
            learner_loss=learner_loss,
            reference_loss=reference_loss,
            progress=progress,
        )

    def _looked_at(self, pairs: TokenizedPairs, shortlist: Tensor | None) -> TokenizedPairs:
        """What the models are shown of a super-batch."""
        listed = pairs if shortlist is None else pairs.take(shortlist.tolist())

        return listed if self._max_num_tokens is None else listed.cut(self._max_num_tokens)

    def passed_tokens(self, pairs: TokenizedPairs, shortlist: Tensor | None) -> tuple[float, int]:
        """How many tokens went through the model for the learner's view: those that are read, and
        those that are predicted from."""
        encoded, decoded = 0.0, 0

        pairs = self._looked_at(pairs, shortlist)

        if self._learner is not None:
            encoded += self._learner.share_of_layers * self._learner.num_tokens(pairs)

        if self._learner_loss is not None:
            sources, targets = self._learner_loss.num_tokens(pairs)

            encoded, decoded = encoded + sources, decoded + targets

        return encoded, decoded

    @property
    def mean_names(self) -> list[str]:
        """The names of the averages that every step reports, see :class:`SelectionStats`."""
        return names_of_means(
            learner=self._learner is not None,
            learner_loss=self._learner_loss is not None,
            reference_loss=self._reference_loss is not None,
            reference=self._reference is not None,
            draws=self._selector.draws,
            filters=self._selector.sub_batch_size < self._selector.super_batch_size,
        )

    @property
    def passes(self) -> tuple[float, float]:
        """How many sides of a pair are read and predicted from for the learner's view, for each
        pair that is trained on; lengths taken as equal, and none as cut."""
        num_listed = self._selector.shortlist_size / self._selector.sub_batch_size

        encoded = 0.0 if self._learner is None else 2.0 * self._learner.share_of_layers
        decoded = 0.0 if self._learner_loss is None else 1.0

        return num_listed * (encoded + decoded), num_listed * decoded

    @property
    def reference_model(self) -> Module | None:
        """The model whose loss the selector asks for."""
        return None if self._reference_loss is None else self._reference_loss.model

    def _irreducible_loss(
        self, rows: NDArray[np.int64], pairs: TokenizedPairs, my_places: NDArray[np.int64]
    ) -> Tensor:
        """What the reference model loses on all that are listed; a rank scores ``my_places``."""
        assert self._reference_loss is not None

        losses, made = self._reference_loss.score(rows[my_places], pairs.take(my_places.tolist()))

        mine = torch.zeros(len(losses), 2)
        mine[:, 0] = torch.from_numpy(losses)
        mine[made, 1] = 1.0

        everyones = _gather(mine.to(self._gangs.device), len(pairs), self._gangs.dp)

        self.filled_tokens = self._reference_loss.num_tokens(
            pairs.take(everyones[:, 1].nonzero().flatten().tolist())
        )

        return everyones[:, 0]


def _slice(num_rows: int, gang: Gang) -> NDArray[np.int64]:
    """The places that a rank embeds; the last ranks may have none."""
    share = -(-num_rows // gang.size)

    begin = min(gang.rank * share, num_rows)

    return np.arange(begin, min(begin + share, num_rows))


def _gather(mine: Tensor, num_rows: int, gang: Gang) -> Tensor:
    """Puts the ranks' slices together; the last ones may be shorter, or stand for none and are then
    cut off."""
    if gang.size == 1:
        return mine

    padded = mine.new_zeros((-(-num_rows // gang.size), mine.size(1)))
    padded[: len(mine)] = mine

    shares = [torch.empty_like(padded) for _ in range(gang.size)]

    gang.all_gather_to_list(shares, padded)

    return torch.cat(shares)[:num_rows]
