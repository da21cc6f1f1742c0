from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.selection.audit import AuditConfig, SelectionAudit
from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.selector import Selection, SuperBatch
from tests.unit.tiny import open_corpus, sentences

NUM = 20


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    rows = [(source, target, "clean") for source, target in sentences(NUM)]

    return open_corpus(tmp_path_factory.mktemp("corpus"), [("eng_Latn-deu_Latn", rows)])


def view_of(num: int) -> EmbeddedPairs:
    generator = torch.Generator().manual_seed(num)

    def side() -> torch.Tensor:
        return normalize(torch.randn(num, 5, generator=generator), dim=1)

    return EmbeddedPairs(source=side(), target=side())


def record(
    corpus: Corpus, file: Path, *, shortlist: torch.Tensor | None = None, num_pairs: int = 4
) -> tuple[SuperBatch, torch.Tensor, dict[str, object]]:
    num_listed = NUM if shortlist is None else len(shortlist)

    super_batch = SuperBatch(
        num_rows=NUM,
        reference=view_of(NUM),
        shortlist=shortlist,
        learner=view_of(num_listed),
    )

    learnability = torch.arange(num_listed).float()

    selection = Selection(
        indices=super_batch.places(torch.tensor([2, 0, 5])), learnability=learnability
    )

    audit = SelectionAudit(AuditConfig(every_n_steps=2, num_pairs=num_pairs), file, corpus)

    for step in (1, 2, 3):
        audit.record(step, np.arange(NUM), super_batch, selection)

    (line,) = file.read_text(encoding="utf-8").splitlines()

    return super_batch, selection.indices, json.loads(line)


def test_scores_are_told_by_their_quantiles(corpus: Corpus, tmp_path: Path) -> None:
    super_batch, indices, line = record(corpus, tmp_path / "audit")

    assert line["step"] == 2
    assert super_batch.reference is not None and super_batch.learner is not None

    scores = line["scores"]
    assert isinstance(scores, dict)

    for name, view in (("reference", super_batch.reference), ("learner", super_batch.learner)):
        values = view.scores().numpy()
        others = np.delete(values, indices.numpy())

        for group, expected in (("selected", values[indices.numpy()]), ("passed_over", others)):
            quantiles = scores[name][group]

            assert len(quantiles) == 11
            assert quantiles[0] == pytest.approx(expected.min(), abs=1e-4)
            assert quantiles[5] == pytest.approx(np.median(expected), abs=1e-4)
            assert quantiles[-1] == pytest.approx(expected.max(), abs=1e-4)


def test_pairs_are_the_first_chosen_and_the_nearest_and_the_farthest_of_the_others(
    corpus: Corpus, tmp_path: Path
) -> None:
    _, _, line = record(corpus, tmp_path / "audit")

    pairs = line["pairs"]
    assert isinstance(pairs, list)

    # Learnability is the place itself.
    assert [pair["row"] for pair in pairs] == [2, 0, 5, 19, 18, 3, 1]
    assert [pair["selected"] for pair in pairs] == [True] * 3 + [False] * 4

    sources, targets = corpus.texts(np.array([5]))
    assert (pairs[2]["source"], pairs[2]["target"]) == (sources[0], targets[0])
    assert pairs[2]["direction"] == "eng_Latn-deu_Latn"
    assert pairs[2]["label"] == "clean"
    assert pairs[2]["learnability"] == 5.0


def test_what_the_learner_has_not_looked_at_has_no_score_of_it(
    corpus: Corpus, tmp_path: Path
) -> None:
    _, _, line = record(corpus, tmp_path / "audit", shortlist=torch.arange(1, 9))

    pairs = line["pairs"]
    assert isinstance(pairs, list)

    listed = {pair["row"]: pair for pair in pairs if 1 <= pair["row"] < 9}
    others = {pair["row"]: pair for pair in pairs if not 1 <= pair["row"] < 9}

    assert listed and others
    assert all(pair["learner"] is not None for pair in listed.values())
    for pair in others.values():
        assert pair["learner"] is pair["learnability"] is None
        assert pair["reference"] is not None


def test_never_is_never(corpus: Corpus, tmp_path: Path) -> None:
    audit = SelectionAudit(AuditConfig(every_n_steps=None), tmp_path / "audit", corpus)

    audit.record(1, np.arange(2), SuperBatch(num_rows=2), Selection(indices=torch.tensor([0])))

    assert not (tmp_path / "audit").exists()


@pytest.mark.parametrize("config", [AuditConfig(every_n_steps=0), AuditConfig(num_pairs=-1)])
def test_what_cannot_be_is_refused(config: AuditConfig) -> None:
    assert config.validate().has_error()
