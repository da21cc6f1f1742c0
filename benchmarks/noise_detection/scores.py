"""All scores of the judged pairs."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from benchmarks.bitext import Pair
from benchmarks.noise_detection.influence import influence_scores
from benchmarks.noise_detection.models import (
    ALL,
    REFERENCES,
    learner_views,
    reference_view,
    train_models,
)
from benchmarks.noise_detection.pairs import Judged, Scores
from benchmarks.noise_detection.rules import cheap_rules, length_ratio, passes_cleaning
from fairseq2_jest.selection.learnability import Learnability

BASELINE = "bicleaner (its own column)"


def score_all(
    judged: Judged, trusted: Mapping[str, Sequence[Pair]], scratch: Path, num_steps: int
) -> tuple[dict[str, Scores], str]:
    """Every score of every judged pair, high for good, and what they were made from in words."""
    pairs = judged.pairs

    scores: dict[str, Scores] = {
        BASELINE: judged.bicleaner,
        "length ratio": np.array([length_ratio(*pair) for pair in pairs]),
        "cleaning of the package, strict": np.array([passes_cleaning(*pair) for pair in pairs]),
        "cheap rules": np.array([cheap_rules(*pair) for pair in pairs]),
    }

    reference = None

    for number, variant in enumerate(REFERENCES):
        corpora = [name for name in variant.corpora if name in trusted]

        chosen = [pair for name in corpora for pair in trusted[name]]

        random.Random(1).shuffle(chosen)

        chosen = chosen[: variant.num_pairs]

        if not chosen:
            continue

        name = (
            f"reference: {' + '.join(corpora)}, {len(chosen):,} pairs, d = {variant.dim}, "
            f"{variant.vocab_size:,} pieces"
        )

        reference = reference_view(chosen, variant, pairs, scratch / f"reference-{number}")

        scores[name] = reference.scores().double().numpy()

        print(f"{name} done", flush=True)

    assert reference is not None

    everything = all_trusted(trusted)

    models = train_models(everything, pairs, scratch, num_steps)

    views = learner_views(models, pairs)

    learnability = Learnability.of(
        views.similarity, reference, learner_weight=0.2, reference_weight=0.8
    )

    best = reference.scores().double().numpy()

    scores["learner's similarity, turned round"] = -views.similarity.scores().double().numpy()
    scores["learnability, 0.8 reference - 0.2 learner"] = learnability.diagonal.double().numpy()
    scores["learner's loss"] = views.learner_loss
    scores["trusted model's loss, turned round"] = -views.trusted_loss
    scores["reducible loss: learner's - trusted model's"] = views.learner_loss - views.trusted_loss

    scores.update(influence_scores(models, pairs, everything, scratch))

    scores["reference and length ratio, mean rank"] = mean_rank(best, scores["length ratio"])
    scores["reference, length ratio and cheap rules, mean rank"] = mean_rank(
        best, scores["length ratio"], scores["cheap rules"]
    )
    scores["reference, length ratio and trusted model's loss, mean rank"] = mean_rank(
        best, scores["length ratio"], -views.trusted_loss
    )

    sizes = ", ".join(f"{name} {len(corpus):,}" for name, corpus in trusted.items())

    return scores, (
        f"Trusted pairs: {sizes}. Learner and trusted model: 2+2 layers of 128, after "
        f"{num_steps // 4} and {num_steps} steps of 48 pairs."
    )


def all_trusted(trusted: Mapping[str, Sequence[Pair]]) -> list[Pair]:
    """The pairs of all corpora, one behind the other."""
    return [pair for name in ALL for pair in trusted.get(name, [])]


def mean_rank(*scores: Scores) -> Scores:
    """The mean of the ranks that several scores give."""
    mean: Scores = np.mean([rankdata(score) for score in scores], axis=0)

    return mean
