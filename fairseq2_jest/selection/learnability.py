"""The learnability of the pairs of a super-batch, without its N x N matrix."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from fairseq2_jest.selection.errors import SelectionError


@dataclass(frozen=True, kw_only=True)
class EmbeddedPairs:
    """One model's view of N pairs: L2-normalised sentence embeddings."""

    source: Tensor
    """The source side. *Shape:* ``(N, d)``."""

    target: Tensor
    """The target side. *Shape:* ``(N, d)``."""

    def take(self, places: Tensor) -> EmbeddedPairs:
        """The pairs at ``places``, in that order."""
        return EmbeddedPairs(source=self.source[places], target=self.target[places])

    def centred(self) -> EmbeddedPairs:
        """The same with each side's mean taken off, of length 1 again."""

        def side(vectors: Tensor) -> Tensor:
            return normalize(vectors - vectors.mean(dim=0), dim=1)

        return EmbeddedPairs(source=side(self.source), target=side(self.target))

    def scores(self) -> Tensor:
        """Cosine similarity of each pair's two sides. *Shape:* ``(N)``."""
        return (self.source * self.target).sum(dim=1)


class Learnability:
    """The matrix ``L = w_ref C E^T - w_lrn A B^T`` (arXiv 2511.04406, Eq. 1-3), held as factors.

    ``A, B`` are the learner's source and target embeddings, ``C, E`` the reference's. With
    ``P = [w_ref C, -w_lrn A]`` and ``Q = [E, B]``, ``L = P Q^T``. Conditioning on chosen rows needs
    only the sums of their rows of ``P`` and ``Q``: O(N d) time and memory, never O(N^2). Where the
    learner's view is its loss ``l``, ``L = w_ref C E^T + w_lrn diag(l)``.
    """

    def __init__(
        self, row_factors: Tensor, column_factors: Tensor, own: Tensor | None = None
    ) -> None:
        """
        :param row_factors: ``P``. *Shape:* ``(N, D)``.
        :param column_factors: ``Q``. *Shape:* ``(N, D)``.
        :param own: What is added to the diagonal alone. *Shape:* ``(N)``.

        :raises SelectionError: The shapes differ, or a value is not finite.
        """
        if row_factors.shape != column_factors.shape:
            raise SelectionError(
                f"The two sides of a super-batch must have embeddings of the same shape, but have "
                f"{tuple(row_factors.shape)} and {tuple(column_factors.shape)}."
            )

        self._rows = row_factors
        self._columns = column_factors
        self.diagonal = (row_factors * column_factors).sum(dim=1)

        if own is not None:
            self.diagonal = self.diagonal + own

        if not bool(torch.isfinite(self.diagonal).all()):
            raise SelectionError(
                "A learner or reference embedding is not finite; lower the learning rate, or check "
                "the reference model."
            )

    @staticmethod
    def of(
        learner: EmbeddedPairs | None,
        reference: EmbeddedPairs | None,
        *,
        learner_weight: float,
        reference_weight: float,
        learner_loss: Tensor | None = None,
    ) -> Learnability:
        """Combines the two views; a view of weight 0 may be absent.

        :param learner_loss: Takes the place of the learner's embeddings. *Shape:* ``(N)``.

        :raises SelectionError: A view with a weight is absent, or both weights are 0.
        """
        rows, columns = [], []

        views = [("reference", reference, reference_weight)]

        if learner_loss is None:
            views.append(("learner", learner, -learner_weight))

        for name, view, weight in views:
            if weight == 0.0:
                continue

            if view is None:
                raise SelectionError(
                    f"{name}_weight is {abs(weight)}, but there are no {name} embeddings."
                )

            rows.append(view.source * weight)
            columns.append(view.target)

        own = None if learner_loss is None else learner_weight * learner_loss

        if not rows and own is not None:
            nothing = own.new_zeros((len(own), 1))

            return Learnability(nothing, nothing, own)

        if not rows:
            raise SelectionError("learner_weight and reference_weight must not both be 0.")

        return Learnability(torch.cat(rows, dim=1), torch.cat(columns, dim=1), own)

    def joint_terms(self, chosen: Tensor) -> Tensor:
        """``sum over chosen i of (L_ij + L_ji)`` for every ``j``. *Shape:* ``(N)``.

        Entries of ``chosen`` itself include their own diagonal and are meant to be masked out.
        """
        row_sum = self._rows[chosen].sum(dim=0)
        column_sum = self._columns[chosen].sum(dim=0)

        return self._columns @ row_sum + self._rows @ column_sum

    def __len__(self) -> int:
        return len(self.diagonal)
