"""One measurement of :mod:`benchmarks.influence.speed`, in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import CPU
from fairseq2.gang import FakeGang
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model
from fairseq2.models.transformer import TransformerModel
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from benchmarks.influence.built_in import BuiltIn, open_builtin
from benchmarks.influence.speed import OURS
from fairseq2_jest.embedding.tokens import SequenceFormats, TokenizedPairs
from fairseq2_jest.influence.curvature_config import CurvatureConfig, DampingConfig
from fairseq2_jest.influence.fitting import Workplace, fit_curvature, fit_seeds
from fairseq2_jest.influence.gradients import GradientPass
from fairseq2_jest.influence.layers import LayersConfig, find_layers, last_block
from fairseq2_jest.influence.model import PairModel
from fairseq2_jest.influence.projection import TwoSidedProjection
from fairseq2_jest.influence.score_store import InfluenceStore
from fairseq2_jest.influence.scoring import PoolScorer

NUM_CURVATURE_PAIRS = 256

RANK = 16

BLOCK_SIZE = 512

BATCH_SIZE = 64
"""Pairs in kronfluence's batches; about as many as ours of so many tokens."""

MAX_NUM_TOKENS = 2048

SHAPES = {
    "tiny": {"model_dim": 128, "ffn_inner_dim": 512, "layers": 2, "stride": 1},
    "small": {"model_dim": 256, "ffn_inner_dim": 1024, "layers": 6, "stride": 3},
}
"""Of the model, and every how many layers are tracked."""

# The factors of both are of the labels as they are, and a pair's loss is a sum.
DAMPING = DampingConfig(kind="relative", value=0.1)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one side took and found; seconds are the processor's, of the one thread."""

    curvature_seconds: float
    scoring_seconds: float
    scores: np.ndarray[Any, np.dtype[np.float32]]
    """``g_t^T (H + damping)^-1 g_m`` of all pairs and seeds, negated. *Shape:* ``(N, T)``."""


def main() -> None:
    side, shape, num_pairs, num_seeds, folder = sys.argv[1:]

    # Behind what is installed.
    sys.path += [path for path in os.environ["EXTRA_PACKAGES"].split(os.pathsep) if path]

    out = Path(folder)

    out.mkdir(parents=True)

    data = open_builtin(int(num_seeds), num_pool_pairs=int(num_pairs))

    model = create_model(shape, data.tokenizer)

    layers = LayersConfig(stride=SHAPES[shape]["stride"])

    start = _peak()

    if side == OURS:
        measured = measure_ours(model, data, layers, out)
    else:
        rank = RANK if side.endswith(f"rank {RANK}") else None

        measured = measure_kronfluence(model, data, layers, out, rank)

    np.save(out / "scores.npy", measured.scores)

    print(
        json.dumps(
            {
                "side": side,
                "shape": shape,
                "pairs": len(measured.scores),
                "seeds": int(num_seeds),
                "curvature_seconds": measured.curvature_seconds,
                "scoring_seconds": measured.scoring_seconds,
                "start_bytes": start,
                "peak_bytes": _peak(),
            }
        )
    )


def create_model(shape: str, tokenizer: Tokenizer) -> TransformerModel:
    """An NLLB with random weights and PyTorch's linear layers in its FFNs."""
    size = SHAPES[shape]

    torch.manual_seed(1)

    model = create_nllb_model(
        NllbConfig(
            model_dim=size["model_dim"],
            max_seq_len=128,
            vocab_size=tokenizer.vocab_info.size,
            num_encoder_layers=size["layers"],
            num_decoder_layers=size["layers"],
            num_encoder_attn_heads=4,
            num_decoder_attn_heads=4,
            ffn_inner_dim=size["ffn_inner_dim"],
        )
    )

    for name, module in list(model.named_modules()):
        if name.endswith(".ffn"):
            for child in ("inner_proj", "output_proj"):
                setattr(module, child, _plain_linear(getattr(module, child)))

    return model.eval()


def _plain_linear(projection: nn.Module) -> nn.Linear:
    weight = projection.get_parameter("weight")

    linear = nn.Linear(weight.size(1), weight.size(0))

    linear.weight = weight
    linear.bias = projection.get_parameter("bias")

    return linear


def measure_ours(
    model: TransformerModel, data: BuiltIn, layers: LayersConfig, out: Path
) -> Measured:
    pairs = PairModel(model, data.tokenizer, device=CPU, max_num_tokens=MAX_NUM_TOKENS)

    gradients = GradientPass(pairs, find_layers(model, layers), device=CPU)

    place = Workplace(out / "curvature", "benchmark", gang=FakeGang(CPU), device=CPU)

    num_rows, num_seeds = len(data.pool), len(data.seeds)

    begin = process_time()

    with torch.no_grad():
        curvatures = fit_curvature(
            place,
            gradients,
            data.read_pool,
            min(NUM_CURVATURE_PAIRS, num_rows),
            CurvatureConfig(labels="empirical", num_pairs=NUM_CURVATURE_PAIRS, num_shards=1),
            seed=1,
        )

        fitted = process_time()

        directions = fit_seeds(
            place, gradients, data.seeds, curvatures, DAMPING, rank=RANK, reduction="sum"
        )

        projection = TwoSidedProjection(last_block(gradients.layers), side=20, seed=0, device=CPU)

        scorer = PoolScorer(gradients, directions, projection, reduction="sum")

        store = InfluenceStore.open(
            out / "scores",
            identity={"identity": "benchmark"},
            num_rows=num_rows,
            num_seeds=num_seeds,
            precision="float32",
            feature_dim=scorer.feature_dim,
            block_size=BLOCK_SIZE,
        )

        for block in range(store.num_blocks):
            rows, tokens = data.read_pool(store.rows(block))

            found = scorer.score(tokens, rows.tolist())

            store.write(block, found.influence.numpy(), found.features.numpy())

    end = process_time()

    return Measured(
        curvature_seconds=fitted - begin,
        scoring_seconds=end - fitted,
        scores=np.concatenate([scores for _, scores in store.blocks()]),
    )


def measure_kronfluence(
    model: TransformerModel, data: BuiltIn, layers: LayersConfig, out: Path, rank: int | None
) -> Measured:
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments

    _, pool = data.read_pool(np.arange(len(data.pool)))

    pairs = _joined(data.seeds, pool)

    lengths = [max(map(len, both)) for both in zip(pairs.source, pairs.target, strict=True)]

    def places(begin: int, end: int) -> Tensor:
        return torch.tensor(sorted(range(begin, end), key=lambda place: lengths[place]))

    query, train = places(0, len(data.seeds)), places(len(data.seeds), len(pairs))

    # The same pairs as ours, which draws as many from as many.
    first = places(len(data.seeds), min(len(data.seeds) + NUM_CURVATURE_PAIRS, len(pairs)))

    task = _task(model, data.tokenizer, layers, pairs)

    analyzer = Analyzer(
        analysis_name="benchmark",
        model=prepare_model(model, task),
        task=task,
        cpu=True,
        output_dir=str(out / "kronfluence"),
        disable_tqdm=True,
    )

    begin = process_time()

    analyzer.fit_all_factors(
        factors_name="factors",
        dataset=TensorDataset(first),
        per_device_batch_size=BATCH_SIZE,
        factor_args=FactorArguments(strategy="kfac", use_empirical_fisher=True),
    )

    fitted = process_time()

    analyzer.compute_pairwise_scores(
        scores_name="scores",
        factors_name="factors",
        query_dataset=TensorDataset(query),
        train_dataset=TensorDataset(train),
        # All at once: the pool is gone through for each batch of these.
        per_device_query_batch_size=len(query),
        per_device_train_batch_size=BATCH_SIZE,
        score_args=ScoreArguments(damping_factor=None, query_gradient_low_rank=rank),
    )

    end = process_time()

    found = analyzer.load_pairwise_scores("scores")["all_modules"].float().numpy()

    scores = np.empty((len(train), len(query)), dtype=np.float32)
    scores[np.ix_((train - len(query)).numpy(), query.numpy())] = -found.T

    return Measured(curvature_seconds=fitted - begin, scoring_seconds=end - fitted, scores=scores)


def _joined(first: TokenizedPairs, second: TokenizedPairs) -> TokenizedPairs:
    return TokenizedPairs(
        source=[*first.source, *second.source],
        target=[*first.target, *second.target],
        source_langs=[*first.source_langs, *second.source_langs],
        target_langs=[*first.target_langs, *second.target_langs],
    )


def _task(
    model: TransformerModel, tokenizer: Tokenizer, layers: LayersConfig, pairs: TokenizedPairs
) -> Any:
    """What kronfluence asks of a model; its batches are the places of pairs."""
    from kronfluence.task import Task

    names = [layer.name for layer in find_layers(model, layers)]

    formats = SequenceFormats(tokenizer)

    pair_model = PairModel(model, tokenizer, device=CPU, max_num_tokens=MAX_NUM_TOKENS)

    def taken(batch: Any) -> TokenizedPairs:
        (places,) = batch

        return pairs.take(places.tolist())

    # kronfluence has no annotations.
    class TranslationTask(Task):  # type: ignore[misc]
        def compute_train_loss(self, batch: Any, model: Any, sample: bool = False) -> Tensor:
            prediction = pair_model.predict(taken(batch))

            return cross_entropy(
                pair_model.head(prediction.hidden), prediction.labels, reduction="sum"
            )

        def compute_measurement(self, batch: Any, model: Any) -> Tensor:
            return self.compute_train_loss(batch, model)

        def get_influence_tracked_modules(self) -> list[str]:
            return names

        def get_attention_mask(self, batch: Any) -> dict[str, Tensor]:
            some = taken(batch)

            sources = formats.lengths(some.source, some.source_langs, "source")
            targets = formats.lengths(some.target, some.target_langs, "target")

            source = _mask(sources, 0)

            # A position predicts the token behind it, and the language's token is given.
            target = _mask(
                [length - 1 for length in targets],
                len(formats.get(some.target_langs[0], "target").prefix) - 1,
            )

            return {name: source if name.startswith("encoder") else target for name in names}

    return TranslationTask()


def _mask(ends: Sequence[int], begin: int) -> Tensor:
    places = torch.arange(max(ends))

    return (places >= begin) & (places < torch.tensor(ends)[:, None])


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
