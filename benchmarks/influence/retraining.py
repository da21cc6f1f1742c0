"""Whether influence foretells what leaving pairs out of training does to the loss of the seeds.

    python -m benchmarks.influence.retraining [--groups N] [--steps N]

The tiny NLLB after its short fine-tune on the pool of the built-in corpus goes on with a small part
of the pool, by plain gradient descent on all of it at once. Then groups of pairs, each clean or of
one kind of noise, are left out one by one, and the same steps are taken from the same model. The
change of the seeds' mean loss is what is foretold: minus the group's summed mean influence, up to a
positive factor. Results go to ``benchmarks/results/influence_retraining``.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import CPU
from fairseq2.models.transformer import TransformerModel
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks import ROOT
from benchmarks.influence.built_in import BuiltIn, load_tiny, open_builtin
from benchmarks.influence.lab import Lab, Setting
from benchmarks.influence.setup import argument_parser, open_folder, warm_up, write_splits
from benchmarks.markdown import markdown_table
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.files import write_json
from fairseq2_jest.influence.curvature_config import DampingConfig
from fairseq2_jest.influence.layers import LayersConfig, find_layers
from fairseq2_jest.influence.model import PairModel

RESULTS = ROOT / "benchmarks" / "results" / "influence_retraining"

NUM_SEEDS = 64

LEARNING_RATE = 0.2

SETTINGS: Mapping[str, Setting] = {
    "KFAC, damping 0.1": Setting(num_seeds=NUM_SEEDS),
    "KFAC, damping 10": Setting(
        num_seeds=NUM_SEEDS, damping=DampingConfig(kind="relative", value=10.0)
    ),
    "no curvature": Setting(num_seeds=NUM_SEEDS, method="none"),
}


def main() -> None:
    parser = argument_parser("retraining", __doc__)
    parser.add_argument("--groups", type=int, default=20)
    parser.add_argument("--group-size", type=int, default=6)
    parser.add_argument("--steps", type=int, default=5)
    args = parser.parse_args()

    out = open_folder(args.out)

    model = warm_up(out, write_splits(out))

    data = open_builtin(NUM_SEEDS)

    rows, groups = _groups(data, args.groups, args.group_size)

    _, pairs = data.read_pool(rows)

    foretold = _foretold(load_tiny(model), data, pairs, groups)

    result: dict[str, Any] = {
        "pairs": len(pairs),
        "group_size": args.group_size,
        "steps": args.steps,
        "kinds": [data.pool.labels(rows[group])[0] for group in groups],
        "retrained": {},
    }

    RESULTS.mkdir(parents=True, exist_ok=True)

    for what, only_tracked in (("tracked layers", True), ("all parameters", False)):
        changes = _changes(model, data, pairs, groups, args.steps, only_tracked=only_tracked)

        result["retrained"][what] = {
            name: agreement(values, changes) for name, values in foretold.items()
        }

        write_json(RESULTS / "results.json", result)
        (RESULTS / "table.md").write_text(table(result) + "\n", encoding="utf-8")

        print(table(result), flush=True)


def _groups(
    data: BuiltIn, num_groups: int, group_size: int
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Rows of the pool, and the places of each group among them: half of the groups clean, half of
    one kind of noise each, in turn."""
    of_label: dict[str, list[int]] = defaultdict(list)

    for row, label in enumerate(data.pool.labels(np.arange(4_000))):
        of_label[label or ""].append(row)

    kinds = sorted(of_label.keys() - {"clean"})

    labels = [
        "clean" if group % 2 == 0 else kinds[group // 2 % len(kinds)] for group in range(num_groups)
    ]

    rows = [of_label[label].pop(0) for label in labels for _ in range(group_size)]

    return np.array(rows), list(np.arange(len(rows)).reshape(num_groups, group_size))


def _foretold(
    model: TransformerModel,
    data: BuiltIn,
    pairs: TokenizedPairs,
    groups: Sequence[NDArray[np.int64]],
) -> dict[str, list[float]]:
    """By how much the seeds' loss should rise without each group, in each setting's unit."""
    with tempfile.TemporaryDirectory(prefix="retraining.") as scratch:
        lab = Lab(
            model,
            data.tokenizer,
            pool=data.read_pool,
            num_pool_pairs=len(data.pool),
            pairs=pairs,
            seeds=data.seeds,
            scratch=Path(scratch),
        )

        means = {
            name: lab.influence(setting).mean(axis=1, dtype=np.float64)
            for name, setting in SETTINGS.items()
        }

    return {name: [-float(mean[g].sum()) for g in groups] for name, mean in means.items()}


def _changes(
    checkpoint: Path,
    data: BuiltIn,
    pairs: TokenizedPairs,
    groups: Sequence[NDArray[np.int64]],
    num_steps: int,
    *,
    only_tracked: bool,
) -> list[float]:
    """By how much the seeds' loss rises when each group is left out."""

    def loss_without(left_out: NDArray[np.int64]) -> float:
        model = load_tiny(checkpoint)

        if only_tracked:
            model.requires_grad_(False)

            for layer in find_layers(model, LayersConfig(stride=1)):
                layer.module.requires_grad_(True)

        kept = sorted(set(range(len(pairs))) - set(left_out.tolist()))

        parameters = [p for p in model.parameters() if p.requires_grad]

        optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE)

        for _ in range(num_steps):
            optimizer.zero_grad()

            for loss in _losses(model, data.tokenizer, pairs.take(kept)):
                # A share of all pairs, so that leaving some out leaves the others' what it is.
                torch.autograd.backward(loss.sum() / len(pairs))

            optimizer.step()

        with torch.no_grad():
            losses = torch.cat(list(_losses(model, data.tokenizer, data.seeds)))

        return float(losses.double().mean())

    whole = loss_without(np.array([], dtype=np.int64))

    return [loss_without(group) - whole for group in groups]


def _losses(
    model: TransformerModel, tokenizer: Tokenizer, pairs: TokenizedPairs
) -> Iterator[Tensor]:
    """The mean token losses of pairs, batch by batch."""
    wrapped = PairModel(model, tokenizer, device=CPU, max_num_tokens=2048)

    for places in wrapped.batches(pairs):
        prediction = wrapped.predict(pairs.take(places))

        losses = cross_entropy(wrapped.head(prediction.hidden), prediction.labels, reduction="none")

        sums = losses.new_zeros(len(places)).index_add(0, prediction.pairs, losses)

        yield sums / torch.bincount(prediction.pairs, minlength=len(places))


def agreement(foretold: Sequence[float], actual: Sequence[float]) -> dict[str, float]:
    """Correlations, and the share of groups whose sign is right."""
    signs = np.sign(foretold) == np.sign(actual)

    return {
        "pearson": float(pearsonr(foretold, actual).statistic),
        "spearman": float(spearmanr(foretold, actual).statistic),
        "right_signs": float(signs.mean()),
    }


def table(result: Mapping[str, Any]) -> str:
    """The agreements as a Markdown table."""
    rows = [
        [
            what,
            name,
            f"{told['pearson']:.3f}",
            f"{told['spearman']:.3f}",
            f"{told['right_signs']:.0%}",
        ]
        for what, settings in result["retrained"].items()
        for name, told in settings.items()
    ]

    return markdown_table(["retrained", "influence", "r", "rank correlation", "right signs"], rows)


if __name__ == "__main__":
    main()
