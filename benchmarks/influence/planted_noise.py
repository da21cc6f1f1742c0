"""How well influence on trusted seeds tells clean pairs of the built-in corpus from planted noise.

    python -m benchmarks.influence.planted_noise [--models M ...] [--pairs N]

The area under the ROC curve, for all noise and for each kind, of minus the mean influence under
many settings, of the share of seeds that a pair helps, and of what other scores say. Settings were
looked for on the first 1,000 rows of the pool; the figures are of the rows behind them. Results go
to ``benchmarks/results/planted_noise``, a file for each model as it is done.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TypeAlias

import numpy as np
import torch
from fairseq2.device import CPU
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from benchmarks import ROOT
from benchmarks.influence.built_in import BuiltIn, load_tiny, open_builtin
from benchmarks.influence.lab import Lab, Setting
from benchmarks.influence.setup import (
    argument_parser,
    open_folder,
    pretrained_model,
    trusted_model,
    warm_up,
    write_splits,
)
from benchmarks.markdown import markdown_table
from fairseq2_jest.embedding.builtin_reference import ensure_builtin_reference
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.reference import SentenceTransformerConfig, SentenceTransformerEncoder
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.files import write_json
from fairseq2_jest.influence.curvature_config import DampingConfig

RESULTS = ROOT / "benchmarks" / "results" / "planted_noise"

NUM_EXPLORED = 1_000
"""Rows that settings were looked for on."""

NUM_SEEDS = 512

Scores: TypeAlias = NDArray[np.float64]
"""High for clean. *Shape:* ``(N)``."""


def _relative(value: float) -> DampingConfig:
    return DampingConfig(kind="relative", value=value)


LEADING: Mapping[str, Setting] = {
    "KFAC, damping 0.1": Setting(),
    "KFAC, damping 10": Setting(damping=_relative(10.0)),
    "KFAC, damping 10, decoder": Setting(damping=_relative(10.0), layers="decoder"),
    "no curvature": Setting(method="none"),
}

SETTINGS: Mapping[str, Setting] = {
    **LEADING,
    "KFAC, damping 0.01": Setting(damping=_relative(0.01)),
    "KFAC, damping 1": Setting(damping=_relative(1.0)),
    "KFAC, damping 100": Setting(damping=_relative(100.0)),
    "KFAC, damping 0.1, empirical Fisher": Setting(labels="empirical"),
    "KFAC, damping 10, empirical Fisher": Setting(labels="empirical", damping=_relative(10.0)),
    "EK-FAC, damping 0.1": Setting(method="ekfac"),
    "EK-FAC, damping 10": Setting(method="ekfac", damping=_relative(10.0)),
    "KFAC, damping 0.1, sum over tokens": Setting(reduction="sum"),
    "KFAC, damping 10, sum over tokens": Setting(reduction="sum", damping=_relative(10.0)),
    "KFAC, damping 10, encoder": Setting(damping=_relative(10.0), layers="encoder"),
    "KFAC, damping 0.1, decoder": Setting(layers="decoder"),
    "KFAC, damping 10, last FFN": Setting(damping=_relative(10.0), layers="decoder.layers.1"),
    "KFAC, damping 10, decoder, 256 seeds": Setting(
        damping=_relative(10.0), layers="decoder", num_seeds=256
    ),
    "KFAC, damping 0.1, 512 seeds": Setting(num_seeds=512),
    "KFAC, damping 10, 512 seeds": Setting(damping=_relative(10.0), num_seeds=512),
    "KFAC, damping 10, decoder, 512 seeds": Setting(
        damping=_relative(10.0), layers="decoder", num_seeds=512
    ),
}
"""With 128 seeds, means over tokens and sampled labels where nothing else is said."""

EACH_SEED: Mapping[str, Setting] = {
    "KFAC, damping 0.1": Setting(each_seed=True, max_discarded=0.05),
    "KFAC, damping 10, decoder, 256 seeds": Setting(
        damping=_relative(10.0),
        layers="decoder",
        num_seeds=256,
        each_seed=True,
        max_discarded=0.05,
    ),
}
"""Those whose share of helped seeds is looked at, too."""

PER_NORM = (
    "KFAC, damping 10, decoder, 256 seeds",
    "KFAC, damping 10, decoder, 512 seeds",
    "no curvature",
)
"""Those of which the mean influence by the norm of the pair's gradient is looked at, too."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one score comes to."""

    name: str

    auc: float
    """All noise against clean pairs."""

    by_kind: dict[str, float]
    """The noise of one kind against clean pairs."""

    seconds: float
    """What the score took once gradients were there; runs beside others do not compare."""


@dataclass(frozen=True, kw_only=True)
class ModelResult:
    """The scores at one model."""

    model: str
    num_clean: int
    num_noise: int
    rows: list[Row]

    def save(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, asdict(self))

    @staticmethod
    def load(file: Path) -> ModelResult:
        values = json.loads(file.read_text(encoding="utf-8"))

        values["rows"] = [Row(**row) for row in values["rows"]]

        return ModelResult(**values)


MODELS: Mapping[str, tuple[str, Mapping[str, Setting]]] = {
    "warm-up": ("after 100 steps of 100 pairs on the pool", SETTINGS),
    "pretrained": ("pre-trained, without a warm-up", LEADING),
    "trusted": ("after 200 steps on the trusted pairs, of which seeds are some", LEADING),
}


def main() -> None:
    parser = argument_parser("planted_noise", __doc__)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--pairs", type=int, default=1_500, help="how many are scored")
    args = parser.parse_args()

    out = open_folder(args.out)

    checkpoints: Mapping[str, Callable[[], Path]] = {
        "warm-up": partial(warm_up, out, write_splits(out)),
        "pretrained": partial(pretrained_model, out),
        "trusted": partial(trusted_model, out, write_splits(out)),
    }

    data = open_builtin(NUM_SEEDS)

    for name in args.models:
        file = RESULTS / f"{name}.json"

        if not file.exists():
            told, settings = MODELS[name]

            _examine(told, checkpoints[name](), data, args.pairs, settings).save(file)

    results = [
        ModelResult.load(file) for name in MODELS if (file := RESULTS / f"{name}.json").exists()
    ]

    text = "\n\n".join(map(table, results))

    (RESULTS / "table.md").write_text(text + "\n", encoding="utf-8")

    print(f"\n{text}")


def _examine(
    told: str, checkpoint: Path, data: BuiltIn, num_pairs: int, settings: Mapping[str, Setting]
) -> ModelResult:
    model = load_tiny(checkpoint)

    rows, pairs = data.read_pool(np.arange(NUM_EXPLORED, NUM_EXPLORED + num_pairs))

    labels = data.pool.labels(rows)

    results: list[Row] = []

    def add(name: str, scores: Scores, begin: float) -> None:
        results.append(judge(name, scores, labels, perf_counter() - begin))

        print(f"{name}: {results[-1].auc:.3f}", flush=True)

    begin = perf_counter()

    texts = data.pool.texts(rows)

    encoder = SentenceTransformerEncoder(
        SentenceTransformerConfig(model=str(ensure_builtin_reference()), device="cpu")
    )

    source, target = (encoder.encode(side) for side in texts)

    add("reference score", (source * target).sum(axis=1).astype(np.float64), begin)

    begin = perf_counter()

    with torch.no_grad():
        loss = TranslationLoss(
            ForwardPass(model, device=CPU, max_num_tokens=2048), data.tokenizer
        ).score(pairs)

    add("loss of the model, turned round", -loss.double().numpy(), begin)

    with tempfile.TemporaryDirectory(prefix="planted_noise.") as scratch:
        begin = perf_counter()

        lab = Lab(
            model,
            data.tokenizer,
            pool=data.read_pool,
            num_pool_pairs=len(data.pool),
            pairs=pairs,
            seeds=data.seeds,
            scratch=Path(scratch),
        )

        norms = lab.gradient_norms.astype(np.float64)

        add("norm of the gradient, turned round", -norms, begin)

        for name, setting in settings.items():
            begin = perf_counter()

            mean = -lab.influence(setting).mean(axis=1, dtype=np.float64)

            add(name, mean, begin)

            if name in PER_NORM:
                add(f"{name}, by the gradient's norm", mean / norms, begin)

            if name in EACH_SEED:
                begin = perf_counter()

                influence = lab.influence(EACH_SEED[name])

                add(
                    f"{name}, as mt select has it", -influence.mean(axis=1, dtype=np.float64), begin
                )
                add(f"{name}, share of helped seeds", (influence < 0.0).mean(axis=1), begin)

    num_clean = labels.count("clean")

    return ModelResult(
        model=told, num_clean=num_clean, num_noise=len(labels) - num_clean, rows=results
    )


def judge(name: str, scores: Scores, labels: Sequence[str | None], seconds: float) -> Row:
    """The AUC of clean pairs against all others, and against those of each label."""
    known = np.array([label or "" for label in labels])

    clean = known == "clean"

    def auc(among: NDArray[np.bool_]) -> float:
        return float(roc_auc_score(clean[among], scores[among]))

    kinds = sorted(set(known[~clean].tolist()))

    return Row(
        name=name,
        auc=auc(np.ones_like(clean)),
        by_kind={kind: auc(clean | (known == kind)) for kind in kinds},
        seconds=seconds,
    )


def table(result: ModelResult) -> str:
    """The scores at a model as a Markdown table."""
    kinds = list(result.rows[0].by_kind)

    columns = ["score", "all noise", *(kind.replace("_", " ") for kind in kinds)]

    rows = [
        [row.name, f"{row.auc:.3f}", *(f"{row.by_kind[kind]:.3f}" for kind in kinds)]
        for row in result.rows
    ]

    return (
        f"The model {result.model}: AUC of {result.num_clean:,} clean pairs against "
        f"{result.num_noise:,} of noise.\n\n{markdown_table(columns, rows)}"
    )


if __name__ == "__main__":
    main()
