"""What is published about a selection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.selector import Selection, SuperBatch

KNOWN_LABELS: Final = frozenset({"known", "duplicate"})
"""The labels of a labelled corpus that stand for pairs with little left to learn."""

GOOD_LABELS: Final = KNOWN_LABELS | {"clean"}
"""The labels that do not stand for noise."""


@dataclass(frozen=True, kw_only=True)
class SelectionStats:
    """Figures of one step, the same on every rank."""

    num_seen: int
    """The number of candidates read, those too long included."""

    num_too_long: int
    """The number of candidates left out for their length."""

    num_selected: int
    """The number of pairs to train on."""

    seconds: float
    """The wall-clock time of embedding and selecting."""

    num_noise_seen: int
    """The number of candidates labelled as noise; 0 where the corpus is not labelled."""

    num_noise_selected: int
    """The number of pairs to train on that are labelled as noise."""

    num_known_seen: int
    """The number of candidates labelled as known already, or as a near-duplicate."""

    num_known_selected: int
    """The number of pairs to train on that are labelled so."""

    num_synthetic_seen: int = 0
    """The number of candidates whose source was made by a model."""

    num_synthetic_selected: int = 0
    """The number of pairs to train on whose source was made by a model."""

    encoded_tokens: float
    """The tokens that went through the encoder for the learner's view, by the share of its layers
    that were run."""

    decoded_tokens: int
    """The tokens that went through the decoder for it."""

    filled_tokens: tuple[int, int] = (0, 0)
    """The tokens that all ranks took through encoder and decoder of the reference model, for losses
    that the store lacked."""

    trained_tokens: tuple[int, int] = (0, 0)
    """The tokens of the pairs to train on that are read, and those that are predicted from."""

    means: dict[str, float]
    """Averages by metric name; only those that apply."""


def names_of_means(
    *,
    learner: bool,
    reference: bool,
    draws: bool,
    filters: bool,
    learner_loss: bool = False,
    reference_loss: bool = False,
) -> list[str]:
    """The names of the averages that :func:`describe_selection` reports.

    :param draws: Whether the selector draws by temperature.
    :param filters: Whether it passes any pairs over.
    """
    names = ["selection_temperature", "selection_support"] if draws else []

    views = {
        "learner_score": learner,
        "reference_score": reference,
        "learner_loss": learner_loss,
        "reference_loss": reference_loss,
    }

    for name, present in views.items():
        if present:
            names.append(f"{name}_selected")

            if filters:
                names.append(f"{name}_passed_over")

    if learner or reference:
        names.append("redundancy")

    return names


def describe_selection(super_batch: SuperBatch, selection: Selection) -> dict[str, float]:
    """Temperature, support, scores of chosen and not chosen, and redundancy of a choice."""
    means: dict[str, float] = {}

    if selection.temperature is not None:
        means["selection_temperature"] = selection.temperature
    if selection.support is not None:
        means["selection_support"] = selection.support

    for name, (scores, places) in scores_of(super_batch).items():
        chosen = torch.isin(places, selection.indices.cpu())

        means[f"{name}_selected"] = float(scores[chosen].mean())

        if not bool(chosen.all()):
            means[f"{name}_passed_over"] = float(scores[~chosen].mean())

    if len(selection.indices) > 1:
        if super_batch.reference is not None:
            means["redundancy"] = redundancy(super_batch.reference, selection.indices)
        elif super_batch.learner is not None:
            means["redundancy"] = redundancy(super_batch.learner, selection.indices)

    return means


def scores_of(super_batch: SuperBatch) -> dict[str, tuple[Tensor, Tensor]]:
    """What each view says of the candidates it looked at: scores, and the candidates' places."""
    everywhere = torch.arange(super_batch.num_rows)

    listed = everywhere if super_batch.shortlist is None else super_batch.shortlist.cpu()

    scores = {}

    if super_batch.learner is not None:
        scores["learner_score"] = (super_batch.learner.scores().cpu(), listed)

    if super_batch.reference is not None:
        scores["reference_score"] = (super_batch.reference.scores().cpu(), everywhere)

    if super_batch.learner_loss is not None:
        scores["learner_loss"] = (super_batch.learner_loss.cpu(), listed)

    if super_batch.reference_loss is not None:
        scores["reference_loss"] = (super_batch.reference_loss.cpu(), listed)

    return scores


def num_noise(labels: Sequence[str | None]) -> int:
    """How many labels stand for noise; a missing one does not."""
    return sum(label is not None and label not in GOOD_LABELS for label in labels)


def num_known(labels: Sequence[str | None]) -> int:
    """How many labels stand for pairs that are known already."""
    return sum(label in KNOWN_LABELS for label in labels)


def redundancy(view: EmbeddedPairs, indices: Tensor) -> float:
    """The mean cosine of the source sides of two different chosen pairs, in O(n d)."""
    vectors = view.source[indices]

    num = len(vectors)

    return float((vectors.sum(dim=0).square().sum() - vectors.square().sum()) / (num * (num - 1)))
