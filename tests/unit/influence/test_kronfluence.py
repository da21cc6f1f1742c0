"""With the same layers, factors and damping, scores are those of kronfluence.

The model is a decoder alone, so that this is also a :class:`PairModel` for those.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from typing_extensions import override

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.curvature import CorrectedSums, decompose
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.directions import concatenate, seed_directions
from fairseq2_jest.influence.factors import FactorSums
from fairseq2_jest.influence.gradients import GradientPass
from fairseq2_jest.influence.layers import LayersConfig, find_layers, last_block
from fairseq2_jest.influence.model import PairModel, Positions, Prediction
from fairseq2_jest.influence.projection import TwoSidedProjection
from fairseq2_jest.influence.scoring import PoolScorer

kronfluence = pytest.importorskip(
    "kronfluence", reason="kronfluence is not installed: pip install kronfluence==1.0.1"
)

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")

VOCAB, DIM, INNER, LENGTH = 23, 6, 10, 8


class Ffn(nn.Module):
    def __init__(self) -> None:
        super().__init__()

        self.inner_proj = nn.Linear(DIM, INNER)
        self.output_proj = nn.Linear(INNER, DIM)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.output_proj(torch.tanh(self.inner_proj(x)))

        return y


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()

        self.ffn = Ffn()

    def forward(self, x: Tensor) -> Tensor:
        # Each position sees those before it, as attention would have it.
        places = torch.arange(1, x.size(1) + 1)[None, :, None]

        y: Tensor = self.ffn(x.cumsum(dim=1) / places)

        return y


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()

        self.layers = nn.ModuleList([Layer(), Layer()])


class Language(nn.Module):
    """A language model; the first two tokens of a sequence are the prompt."""

    def __init__(self) -> None:
        super().__init__()

        self.embed = nn.Embedding(VOCAB, DIM)
        self.decoder = Decoder()
        self.head = nn.Linear(DIM, VOCAB)

    def hidden(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.embed(tokens)

        for layer in self.decoder.layers:
            x = layer(x)

        return x

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(self.hidden(tokens))

        return logits


class LanguagePairs(PairModel):
    def __init__(self, model: Language) -> None:
        self._model = model

    @property
    @override
    def module(self) -> nn.Module:
        return self._model

    @property
    @override
    def head(self) -> nn.Module:
        return self._model.head

    @override
    def batches(self, pairs: TokenizedPairs) -> list[list[int]]:
        return [list(range(i, min(i + 4, len(pairs)))) for i in range(0, len(pairs), 4)]

    @override
    def predict(self, pairs: TokenizedPairs) -> Prediction:
        tokens = sequences(pairs)

        hidden = self._model.hidden(tokens[:, :-1])

        everywhere = torch.ones(hidden.shape[:2], dtype=torch.bool)

        return Prediction(
            hidden=hidden[everywhere],
            labels=tokens[:, 1:][everywhere],
            pairs=everywhere.nonzero()[:, 0],
            positions={"decoder": Positions(present=everywhere, counted=everywhere)},
        )


def sequences(pairs: TokenizedPairs) -> Tensor:
    return torch.stack([torch.cat(both) for both in zip(pairs.source, pairs.target, strict=True)])


def some_pairs(num: int, seed: int) -> TokenizedPairs:
    generator = torch.Generator().manual_seed(seed)

    def side(length: int) -> list[Tensor]:
        return list(torch.randint(VOCAB, (num, length), generator=generator))

    return TokenizedPairs(
        source=side(2), target=side(LENGTH - 2), source_langs=["a"] * num, target_langs=["b"] * num
    )


def trained() -> Language:
    torch.manual_seed(0)

    model = Language()

    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    tokens = sequences(some_pairs(64, seed=9))

    for _ in range(30):
        optimizer.zero_grad()
        loss = cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return model


def kronfluence_scores(
    folder: Path, method: str, pool: TokenizedPairs, seeds: TokenizedPairs, damping: float | None
) -> Tensor:
    """``g_t^T (H + damping)^-1 g_m``, of shape ``(T, N)``; it has no minus."""
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.task import Task

    names = [layer.name for layer in find_layers(trained(), LayersConfig(stride=1))]

    class LanguageTask(Task):  # type: ignore[misc]
        def compute_train_loss(self, batch: Any, model: Any, sample: bool = False) -> Tensor:
            (tokens,) = batch

            logits = model(tokens[:, :-1]).flatten(0, 1)

            return cross_entropy(logits, tokens[:, 1:].flatten(), reduction="sum")

        def compute_measurement(self, batch: Any, model: Any) -> Tensor:
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            return names

    task = LanguageTask()

    analyzer = Analyzer(
        analysis_name="test",
        model=prepare_model(trained(), task),
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
    model = trained()

    run = GradientPass(LanguagePairs(model), find_layers(model, LayersConfig(stride=1)), device=CPU)

    rows = range(len(pool))

    sums = FactorSums.zeros(run.layers, CPU, torch.float32)

    for batch in run.run(pool, rows, reduction="sum"):
        sums.add(batch.layers)

    curvatures = decompose(run.layers, sums)

    if method == "ekfac":
        corrected = CorrectedSums.zeros(run.layers, CPU, torch.float32)

        for batch in run.run(pool, rows, reduction="sum"):
            corrected.add(batch.layers, len(batch.places), curvatures)

        curvatures = corrected.correct(curvatures)

    directions = concatenate(
        [
            seed_directions(batch, curvatures, damping, None)
            for batch in run.run(seeds, range(len(seeds)), reduction="sum")
        ]
    )

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
