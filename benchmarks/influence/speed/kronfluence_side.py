"""kronfluence's side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import process_time
from typing import Any, Final

import numpy as np
import torch
from fairseq2.device import CPU
from fairseq2.models.transformer import TransformerModel
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from benchmarks.influence.speed.measuring import Measured
from benchmarks.influence.speed.sides import MAX_NUM_TOKENS, NUM_CURVATURE_PAIRS
from benchmarks.influence.speed.workload import Workload
from fairseq2_jest.embedding.pair_format import EncoderDecoderFormat
from fairseq2_jest.embedding.prompting import PromptFormat
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.model import PairModel

_BATCH_SIZE: Final = 64
"""Pairs in a batch; about as many as ours of so many tokens."""


def measure_kronfluence(work: Workload, out: Path, damping: float, rank: int | None) -> Measured:
    """
    :param rank: That of the seeds' gradients, ``None`` for whole ones.
    """
    from kronfluence.analyzer import Analyzer, prepare_model
    from kronfluence.arguments import FactorArguments, ScoreArguments
    from kronfluence.factor import config as kronfluence_config

    # A tenth of the mean eigenvalue; other dampings it takes in absolute numbers only.
    kronfluence_config.HEURISTIC_DAMPING_SCALE = damping

    data = work.data

    _, pool = data.read_pool(np.arange(len(data.pool)))

    pairs = _joined(data.seeds, pool)

    create_format = (
        EncoderDecoderFormat if isinstance(work.model, TransformerModel) else PromptFormat
    )

    formats = create_format(data.tokenizer)

    lengths = formats.pass_lengths(pairs)

    def places(begin: int, end: int) -> Tensor:
        return torch.tensor(sorted(range(begin, end), key=lambda place: lengths[place]))

    query, train = places(0, len(data.seeds)), places(len(data.seeds), len(pairs))

    # The same pairs as ours, which draws as many from as many.
    first = places(len(data.seeds), min(len(data.seeds) + NUM_CURVATURE_PAIRS, len(pairs)))

    task = _task(work, formats, pairs)

    analyzer = Analyzer(
        analysis_name="benchmark",
        model=prepare_model(work.inner, task),
        task=task,
        cpu=True,
        output_dir=str(out / "kronfluence"),
        disable_tqdm=True,
    )

    begin = process_time()

    analyzer.fit_all_factors(
        factors_name="factors",
        dataset=TensorDataset(first),
        per_device_batch_size=_BATCH_SIZE,
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
        per_device_train_batch_size=_BATCH_SIZE,
        # Without a number it is relative.
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
        prompt=None
        if first.prompt is None or second.prompt is None
        else [*first.prompt, *second.prompt],
    )


def _task(
    work: Workload, formats: EncoderDecoderFormat | PromptFormat, pairs: TokenizedPairs
) -> Any:
    """What kronfluence asks of a model; its batches are the places of pairs."""
    from kronfluence.task import Task

    names = work.layer_names(work.inner)

    pair_model = PairModel(
        work.model, work.data.tokenizer, device=CPU, max_num_tokens=MAX_NUM_TOKENS
    )

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
            source, target = counted_positions(formats, taken(batch))

            return {name: source if name.startswith("encoder") else target for name in names}

    return TranslationTask()


def counted_positions(
    formats: EncoderDecoderFormat | PromptFormat, pairs: TokenizedPairs
) -> tuple[Tensor, Tensor]:
    """Which positions of an encoder and of a decoder the factors are made of: those that our own
    are. *Shape of each:* ``(N, T)``, bool."""
    given, predicted = formats.lengths(pairs)

    if isinstance(formats, PromptFormat):
        given_before, ends = given, formats.pass_lengths(pairs)
    else:
        given_before, ends = formats.prefix_lens(pairs), predicted

    # A position predicts the token behind it.
    return (
        _mask([0] * len(given), given),
        _mask([length - 1 for length in given_before], [length - 1 for length in ends]),
    )


def _mask(begins: Sequence[int], ends: Sequence[int]) -> Tensor:
    places = torch.arange(max(ends))

    return (places >= torch.tensor(begins)[:, None]) & (places < torch.tensor(ends)[:, None])
