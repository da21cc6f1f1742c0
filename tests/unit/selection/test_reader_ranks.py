from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.device import CPU
from fairseq2.gang import Gangs

from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.reference_loss import ReferenceLoss
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.embedder import SuperBatchEmbedder
from fairseq2_jest.selection.errors import SelectionError
from fairseq2_jest.selection.joint import JointConfig, JointSelector
from fairseq2_jest.selection.log import SelectionLog
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.selector import SuperBatch
from fairseq2_jest.selection.tokenizing import PairTokenizer
from tests.unit.selection.readers import (
    ALONE,
    chosen,
    joint,
    reader_of,
    texts_of,
    texts_of_rows,
)
from tests.unit.tiny import model, on_ranks, tokenizer

NUM_STEPS = 4

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("num_ranks", [2, 3])
def test_ranks_choose_together_what_one_chooses_alone(
    corpus: Corpus, tmp_path: Path, num_ranks: int
) -> None:
    alone = reader_of(corpus, tmp_path / "alone", log=SelectionLog(tmp_path / "alone.jsonl"))

    for _ in range(NUM_STEPS):
        next(alone)

    def work(gangs: Gangs) -> list[list[Seq2SeqBatch]]:
        log = SelectionLog(tmp_path / f"rank{gangs.dp.rank}.jsonl")

        reader = reader_of(corpus, tmp_path / "together", gangs=gangs, log=log)

        return [next(reader) for _ in range(NUM_STEPS)]

    of_ranks = on_ranks(num_ranks, work)

    together = chosen(tmp_path / "rank0.jsonl")

    assert together == chosen(tmp_path / "alone.jsonl")
    assert len(together) == NUM_STEPS
    # The others have nothing to log that the first has not.
    assert [path.name for path in tmp_path.glob("rank*.jsonl")] == ["rank0.jsonl"]

    for step, rows in enumerate(together):
        shares = [texts_of(of_rank[step]) for of_rank in of_ranks]

        assert all(share.total() > 0 for share in shares)
        # No row is on two ranks, and none is left out.
        assert sum(shares, Counter()) == texts_of_rows(corpus, rows)
        assert len({len(of_rank[step]) for of_rank in of_ranks}) == 1


def test_ranks_share_the_work_of_embedding_and_the_figures(corpus: Corpus, tmp_path: Path) -> None:
    alone = reader_of(corpus, tmp_path / "alone")
    next(alone)

    def work(gangs: Gangs) -> tuple[int, SelectingDataReader]:
        reader = reader_of(corpus, tmp_path / "together", gangs=gangs)

        assert reader.embedder._learner is not None

        embedded: list[int] = []

        reader.embedder._learner._pass.model.get_submodule(
            "encoder_frontend"
        ).register_forward_hook(lambda module, inputs, output: embedded.append(len(inputs[0])))

        next(reader)

        return sum(embedded), reader

    results = on_ranks(3, work)

    # Both sides of a third of 24 pairs.
    assert [num for num, _ in results] == [16, 16, 16]

    assert alone.last_stats is not None
    for _, reader in results:
        assert reader.last_stats is not None
        assert reader.last_stats.means == pytest.approx(alone.last_stats.means, abs=1e-5)
        assert reader.last_stats.num_selected == alone.last_stats.num_selected == 12
        assert reader.last_stats.encoded_tokens == alone.last_stats.encoded_tokens


@pytest.mark.parametrize(("num", "num_ranks"), [(5, 4), (7, 3)])
def test_a_super_batch_that_the_ranks_do_not_divide_loses_nothing(
    corpus: Corpus, tmp_path: Path, num: int, num_ranks: int
) -> None:
    """With 5 rows and 4 ranks, the last one has nothing to embed."""

    def work(gangs: Gangs) -> list[Seq2SeqBatch]:
        reader = reader_of(corpus, tmp_path, gangs=gangs, selector=joint(num, 0.0))

        return next(reader)

    batches = [batch for of_rank in on_ranks(num_ranks, work) for batch in of_rank]

    rows = CorpusSampler(corpus.sizes, corpus.weights, seed=7).next_rows(num)

    assert texts_of(batches) == texts_of_rows(corpus, rows.tolist())


def test_ranks_that_disagree_are_stopped(corpus: Corpus, tmp_path: Path) -> None:
    def work(gangs: Gangs) -> tuple[str, int]:
        log = SelectionLog(tmp_path / "log") if gangs.dp.rank == 0 else None

        reader = reader_of(corpus, tmp_path, gangs=gangs, seed=5 + gangs.dp.rank, log=log)

        # By chance alone, one step in millions is chosen alike.
        with pytest.raises(SelectionError) as info:
            next(reader)

        step = reader.state_dict()["step"]

        assert isinstance(step, int)

        return str(info.value), step

    for message, step in on_ranks(2, work):
        assert message.startswith("The ranks chose different pairs at step 1; ")
        assert step == 0

    assert not (tmp_path / "log").exists()


def test_more_ranks_than_chosen_pairs_are_refused(corpus: Corpus, tmp_path: Path) -> None:
    def work(gangs: Gangs) -> str:
        reader = reader_of(corpus, tmp_path, gangs=gangs, selector=joint(10, 0.9))

        with pytest.raises(SelectionError) as info:
            next(reader)

        return str(info.value)

    for message in on_ranks(2, work):
        assert "1 pair(s) cannot be shared by 2 ranks" in message


def test_a_rank_without_a_share_knows_what_the_others_scored(
    corpus: Corpus, tmp_path: Path
) -> None:
    rows, pairs = PairTokenizer(corpus, tokenizer(), max_seq_len=64)(np.arange(5))

    selector = JointSelector(
        JointConfig(super_batch_size=5, filter_ratio=0.0, learner_view="reducible_loss")
    )

    def work(gangs: Gangs) -> tuple[SuperBatch, tuple[int, int]]:
        scorer = TranslationLoss(ForwardPass(model(), device=CPU, max_num_tokens=200), tokenizer())

        losses = ReferenceLoss.open(
            scorer,
            model_digest="a model",
            corpus_digest=corpus.digest,
            num_rows=len(corpus),
            # As on machines that do not share a cache.
            folder=tmp_path / f"{gangs.dp.rank} of {gangs.dp.size}",
        )

        embedder = SuperBatchEmbedder(selector, gangs, learner_loss=scorer, reference_loss=losses)

        return embedder.embed(rows, pairs, 0.0), embedder.filled_tokens

    alone, filled = work(ALONE)

    assert alone.reference_loss is not None and min(filled) > 0

    # Two, two and one of the five.
    of_ranks = on_ranks(4, work)

    for together, filled_by_all in of_ranks:
        assert filled_by_all == filled
        assert together.reference_loss is not None
        assert torch.allclose(together.reference_loss, alone.reference_loss)
