"""With the same layers, factors and damping, scores are those of kronfluence, at a language model.

It is transformers' LLaMA, whose layers kronfluence knows, and which fairseq2 has as family ``hg``.
Sequences are of one length, and all but the first token is predicted: kronfluence has no prompts.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.models.hg import HgCausalLMAdapter
from torch import Tensor
from torch.nn.functional import cross_entropy

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.curvature import CorrectedSums, correct, decompose
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.factors import FactorSums
from fairseq2_jest.influence.layers import last_block
from fairseq2_jest.influence.projection import TwoSidedProjection
from fairseq2_jest.influence.scoring import PoolScorer
from tests.unit.influence.dense import directions_from, gradient_pass, trained
from tests.unit.language_models import language_tokenizer

kronfluence = pytest.importorskip(
    "kronfluence", reason="kronfluence is not installed: pip install kronfluence==1.0.1"
)

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")

LENGTH = 7

WRAPPER = "_wrapped_hf_model."


def model() -> HgCausalLMAdapter:
    learner = trained("hg")

    assert isinstance(learner, HgCausalLMAdapter)

    return learner


def some_pairs(num: int, seed: int) -> TokenizedPairs:
    """The prompt is but the token that begins a text."""
    generator = torch.Generator().manual_seed(seed)

    return TokenizedPairs(
        source=[torch.empty(0, dtype=torch.int64)] * num,
        target=list(torch.randint(4, 190, (num, LENGTH), generator=generator)),
        source_langs=["a"] * num,
        target_langs=["b"] * num,
    )


def sequences(pairs: TokenizedPairs) -> Tensor:
    info = language_tokenizer().vocab_info

    begin, end = torch.tensor([info.bos_idx]), torch.tensor([info.eos_idx])

    return torch.stack([torch.cat([begin, target, end]) for target in pairs.target])


def kronfluence_scores(
    folder: Path, method: str, pool: TokenizedPairs, seeds: TokenizedPairs, damping: float | None
) -> Tensor:
    """``g_t^T (H + damping)^-1 g_m``, of shape ``(T, N)``; it has no minus."""
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    names = [layer.name.removeprefix(WRAPPER) for layer in gradient_pass(model()).layers]

    # kronfluence tells mypy nothing, hence its class is of any type.
    class LanguageTask(Task):  # type: ignore[misc]
        def compute_train_loss(self, batch: Any, model: Any, sample: bool = False) -> Tensor:
            (tokens,) = batch

            logits = model(input_ids=tokens[:, :-1]).logits.flatten(0, 1)

            return cross_entropy(logits, tokens[:, 1:].flatten(), reduction="sum")

        def compute_measurement(self, batch: Any, model: Any) -> Tensor:
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            return names

    task = LanguageTask()

    analyzer = Analyzer(
        analysis_name="test",
        model=prepare_model(deepcopy(model().hf_model).eval(), task),
        task=task,
        cpu=True,
        output_dir=str(folder),
        disable_tqdm=True,
    )

    train, query = (torch.utils.data.TensorDataset(sequences(pairs)) for pairs in (pool, seeds))

    analyzer.fit_all_factors(
        factors_name="factors",
        dataset=train,
        per_device_batch_size=5,
        factor_args=FactorArguments(strategy=method, use_empirical_fisher=True),
    )

    analyzer.compute_pairwise_scores(
        scores_name="scores",
        factors_name="factors",
        query_dataset=query,
        train_dataset=train,
        per_device_query_batch_size=5,
        per_device_train_batch_size=5,
        score_args=ScoreArguments(damping_factor=damping),
    )

    scores: Tensor = analyzer.load_pairwise_scores("scores")["all_modules"]

    return scores


def our_scores(
    method: str, pool: TokenizedPairs, seeds: TokenizedPairs, damping: DampingConfig
) -> Tensor:
    run = gradient_pass(model())

    rows = range(len(pool))

    sums = FactorSums.zeros(run.layers, CPU, torch.float32)

    for batch in run.run(pool, rows, reduction="sum"):
        sums.add(batch.layers)

    curvatures = decompose(run.layers, [sums], CPU)

    if method == "ekfac":
        corrected = CorrectedSums.zeros(run.layers, CPU, torch.float32)

        for batch in run.run(pool, rows, reduction="sum"):
            corrected.add(batch.layers, len(batch.places), curvatures)

        curvatures = correct(curvatures, run.layers, [corrected], CPU)

    batches = list(run.run(seeds, range(len(seeds)), reduction="sum"))

    _, directions = directions_from(batches, run.layers, curvatures, damping)

    projection = TwoSidedProjection(last_block(run.layers), side=2, seed=0, device=CPU)

    scorer = PoolScorer(run, directions, projection, reduction="sum")

    return scorer.score(pool, rows).influence


@pytest.mark.parametrize("method", ["kfac", "ekfac"])
@pytest.mark.parametrize("damping", [None, 1e-3])
def test_scores_are_kronfluences(method: str, damping: float | None, tmp_path: Path) -> None:
    pool, seeds = some_pairs(40, seed=1), some_pairs(6, seed=2)

    theirs = -kronfluence_scores(tmp_path, method, pool, seeds, damping).T

    ours = our_scores(
        method,
        pool,
        seeds,
        # Without a number it takes a tenth of the mean eigenvalue.
        DampingConfig(kind="relative", value=0.1)
        if damping is None
        else DampingConfig(kind="absolute", value=damping),
    )

    assert ours.shape == theirs.shape == (40, 6)

    correlation = torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1]

    assert float(correlation) > 0.99999

    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
