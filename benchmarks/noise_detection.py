"""How well scores of a pair tell good web-crawled pairs from bad ones, as judged by people.

    python -m benchmarks.noise_detection [--data DIR] [--corpora DIR]

``DIR`` holds ``train.{en,de}`` and ``train.labels.tsv`` of ParaCrawl's human evaluation, where V
(valid) and F (free translation) count as good, A (wrong alignment) and L (wrong language) as bad.
Each score is the area under its ROC curve: the chance that a good pair scores above a bad one. A
score that counts *against* a pair is turned round, always as the package's selectors count it. All
intervals are bootstrap 95 % ones over the same resamples of pairs. The table, and what held, go to
``benchmarks/results/noise_detection/``.

The references are bags of token vectors, each trained on the spot on pairs of other corpora. The
learner is a tiny NLLB at a quarter of its training on the same trusted pairs as the largest
reference, and the trusted model is what it is at the end; no model sees a judged pair, and nothing
is chosen by the labels.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model
from fairseq2.models.transformer import TransformerModel
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from benchmarks.steps import (
    SOURCE,
    TARGET,
    Pair,
    SteppedRun,
    gangs_of_one,
    open_pairs,
    read_pairs,
    train_tokenizer,
)
from fairseq2_jest.corpus.cleaning import pair_damage
from fairseq2_jest.corpus.config import CleaningConfig
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding.builtin_reference import ReferenceTraining, train_static_reference
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.reference import SentenceTransformerConfig, SentenceTransformerEncoder
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.iid import IidConfig, IidSelector
from fairseq2_jest.selection.learnability import EmbeddedPairs, Learnability
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.tokenizing import PairTokenizer, SuperBatchReader

ROOT: Final = Path(__file__).resolve().parent.parent

RESULTS: Final = ROOT / "benchmarks" / "results" / "noise_detection"

GOOD: Final = frozenset({"V", "F"})

BAD: Final = frozenset({"A", "L"})

NUM_RESAMPLES: Final = 500

MAX_PAIRS: Final = 10_000
"""Of each corpus to learn from."""

VOCAB_SIZE: Final = 8_000

MAX_SEQ_LEN: Final = 128

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ReferenceVariant:
    """One reference: what it is trained on, and how large it is."""

    corpora: tuple[str, ...]

    num_pairs: int | None = None
    """How many of the pairs, drawn at random; ``None`` for all."""

    dim: int = 128

    vocab_size: int = VOCAB_SIZE


ALL: Final = ("wmt-demo", "multi30k", "bible", "ted")

REFERENCES: Final = (
    ReferenceVariant(corpora=("multi30k",)),
    ReferenceVariant(corpora=("bible",)),
    ReferenceVariant(corpora=("wmt-demo",)),
    ReferenceVariant(corpora=("wmt-demo",), vocab_size=2_000),
    ReferenceVariant(corpora=ALL, num_pairs=5_000),
    ReferenceVariant(corpora=ALL, num_pairs=15_000),
    ReferenceVariant(corpora=ALL, dim=256),
    ReferenceVariant(corpora=ALL),
)
"""The last is the one that learnability and the combinations are made from."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Pairs with a person's verdict."""

    pairs: Sequence[Pair]
    is_good: NDArray[np.bool_]
    bicleaner: Scores


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.noise_detection",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    shared = ROOT.parent / "shared/data"
    parser.add_argument("--data", type=Path, default=shared / "paracrawl-judged-ende")
    parser.add_argument("--corpora", type=Path, default=shared, help="folder of the other corpora")
    parser.add_argument("--steps", type=int, default=120, help="of training the trusted model")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args()

    if not (args.data / "train.labels.tsv").is_file():
        print(f"Skipped: there are no judged pairs at {args.data}; name their folder with --data.")

        return 0

    torch.set_num_threads(1)

    judged = read_judged(args.data)

    trusted = read_trusted(args.corpora)

    # Nobody is to be asked about a pair it has seen.
    sides = {side.casefold() for pair in judged.pairs for side in pair}

    for name, pairs in trusted.items():
        trusted[name] = [pair for pair in pairs if not sides & {side.casefold() for side in pair}]

    with tempfile.TemporaryDirectory(prefix="noise_detection.") as scratch:
        scores, notes = score_all(judged, trusted, Path(scratch), args.steps)

    rows = compare(judged.is_good, scores)

    num_good = int(judged.is_good.sum())

    caption = (
        f"{num_good:,} good pairs (V, F) against {len(judged.is_good) - num_good:,} bad ones "
        f"(A, L). {notes}"
    )

    text = f"{caption}\n\n{table(rows)}\n\n{verdict(rows)}"

    print(f"\n{text}")

    args.out.mkdir(parents=True, exist_ok=True)

    (args.out / "table.md").write_text(f"{text}\n", encoding="utf-8")
    (args.out / "results.json").write_text(
        json.dumps({"caption": caption, "rows": rows}, indent=1) + "\n", encoding="utf-8"
    )

    return 0


def read_judged(folder: Path) -> Judged:
    """The pairs that are good or bad; those of other labels are left out."""
    pairs = read_pairs(folder)

    lines = (folder / "train.labels.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")

    columns = [line.split("\t") for line in lines]

    kept = [
        (pair, label in GOOD, float(bicleaner))
        for pair, (label, bicleaner, *_) in zip(pairs, columns, strict=True)
        if label in GOOD | BAD
    ]

    return Judged(
        pairs=[pair for pair, _, _ in kept],
        is_good=np.array([is_good for _, is_good, _ in kept]),
        bicleaner=np.array([bicleaner for _, _, bicleaner in kept]),
    )


def read_trusted(folder: Path) -> dict[str, list[Pair]]:
    """Corpora to learn from, in running text; the one that has no file is left out."""
    corpora = {}

    if (folder / "wmt-demo-ende").is_dir():
        corpora["wmt-demo"] = [
            (detokenised(source), detokenised(target))
            for source, target in read_pairs(folder / "wmt-demo-ende")[:MAX_PAIRS]
        ]

    for name in ("multi30k", "bible"):
        if (folder / f"{name}-ende").is_dir():
            corpora[name] = read_pairs(folder / f"{name}-ende")[:MAX_PAIRS]

    ted = folder / "ted-mqm-ende"

    if ted.is_dir():
        lines = (ted / "train.scores.tsv").read_text(encoding="utf-8").rstrip("\n").split("\n")

        # A person's translation, one a sentence; the rest is the output of systems.
        corpora["ted"] = [
            pair
            for pair, line in zip(read_pairs(ted), lines, strict=True)
            if line.startswith("ref-A\t")
        ]

    if not corpora:
        raise SystemExit(f"There is no corpus to learn from at {folder}; name one with --corpora.")

    return corpora


def detokenised(text: str) -> str:
    """Undoes the blanks that Moses puts around punctuation."""
    text = re.sub(r" ([.,;:!?%)\]}»“’])", r"\1", text)
    text = re.sub(r"([(\[{«„]) ", r"\1", text)

    return re.sub(r" ('s|'re|'ve|'ll|'d|'m|n't)\b", r"\1", text)


def score_all(
    judged: Judged, trusted: Mapping[str, Sequence[Pair]], scratch: Path, num_steps: int
) -> tuple[dict[str, Scores], str]:
    """Every score of every judged pair, high for good, and what they were made from in words."""
    pairs = judged.pairs

    scores: dict[str, Scores] = {
        "bicleaner (its own column)": judged.bicleaner,
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

        reference = _reference_view(chosen, variant, pairs, scratch / f"reference-{number}")

        scores[name] = reference.scores().double().numpy()

        print(f"{name} done", flush=True)

    assert reference is not None

    everything = [pair for name in ALL for pair in trusted.get(name, [])]

    views = _learner_views(everything, pairs, scratch, num_steps)

    learnability = Learnability.of(
        views.similarity, reference, learner_weight=0.2, reference_weight=0.8
    )

    best = reference.scores().double().numpy()

    scores["learner's similarity, turned round"] = -views.similarity.scores().double().numpy()
    scores["learnability, 0.8 reference - 0.2 learner"] = learnability.diagonal.double().numpy()
    scores["learner's loss"] = views.learner_loss
    scores["trusted model's loss, turned round"] = -views.trusted_loss
    scores["reducible loss: learner's - trusted model's"] = views.learner_loss - views.trusted_loss

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


def length_ratio(source: str, target: str) -> float:
    """The shorter text's length by the longer one's."""
    return min(len(source), len(target)) / max(len(source), len(target))


def passes_cleaning(source: str, target: str) -> float:
    """1 where the package's cleaning lets a pair pass, at limits that mean it."""
    config = CleaningConfig(
        min_chars=10, max_chars=1000, max_length_ratio=2.0, length_slack=5, reject_copies=True
    )

    return float(pair_damage(source, target, config) is None)


def cheap_rules(source: str, target: str) -> float:
    """How many of six rules a pair keeps: lengths, copies, characters, numbers."""
    words = [set(re.findall(r"\w+", text.casefold())) for text in (source, target)]

    letters = [sum(c.isalpha() for c in text) / max(1, len(text)) for text in (source, target)]

    numbers = [sorted(re.findall(r"\d+", text)) for text in (source, target)]

    rules = (
        min(len(source), len(target)) >= 10,
        length_ratio(source, target) >= 0.5,
        # Names and terms are the same in both, a sentence is not.
        len(words[0] & words[1]) <= 0.5 * max(1, min(map(len, words))),
        min(letters) >= 0.6,
        abs(letters[0] - letters[1]) <= 0.1,
        numbers[0] == numbers[1],
    )

    return float(sum(rules))


def mean_rank(*scores: Scores) -> Scores:
    """The mean of the ranks that several scores give."""
    mean: Scores = np.mean([rankdata(score) for score in scores], axis=0)

    return mean


def compare(
    is_good: NDArray[np.bool_], scores: Mapping[str, Scores], num_resamples: int = NUM_RESAMPLES
) -> list[dict[str, Any]]:
    """AUC of each score with its interval, and that of its lead over the first one.

    :returns: Rows of ``name``, ``auc``, ``interval``, ``lead`` and ``lead_interval``.
    """
    generator = np.random.default_rng(1)

    resamples: list[NDArray[np.int64]] = []

    while len(resamples) < num_resamples:
        resample = generator.integers(len(is_good), size=len(is_good))

        # An AUC needs one of each.
        if 0 < is_good[resample].sum() < len(is_good):
            resamples.append(resample)

    def aucs(score: Scores) -> Scores:
        return np.array([roc_auc_score(is_good[places], score[places]) for places in resamples])

    rows: list[dict[str, Any]] = []

    first: tuple[float, Scores] | None = None

    for name, score in scores.items():
        auc, resampled = float(roc_auc_score(is_good, score)), aucs(score)

        first = first or (auc, resampled)

        rows.append(
            {
                "name": name,
                "auc": auc,
                "interval": _interval(resampled),
                "lead": auc - first[0],
                "lead_interval": _interval(resampled - first[1]),
            }
        )

    return rows


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a Markdown table; leads are over the first row."""
    lines = [
        f"| score | AUC | 95 % interval | lead over {rows[0]['name'].split(' (')[0]} |",
        "|---|---|---|---|",
    ]

    for row in rows:
        low, high = row["interval"]
        lead_low, lead_high = row["lead_interval"]

        lead = "" if row is rows[0] else f"{row['lead']:+.3f} ({lead_low:+.3f} to {lead_high:+.3f})"

        lines.append(f"| {row['name']} | {row['auc']:.3f} | {low:.3f} to {high:.3f} | {lead} |")

    return "\n".join(lines)


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """What held and what did not, in sentences made from the figures."""
    baseline, others = rows[0], rows[1:]

    def told(row: Mapping[str, Any]) -> str:
        return f"{row['name']} ({row['auc']:.3f})"

    groups: dict[str, Callable[[Mapping[str, Any]], bool]] = {
        f"Ahead of {baseline['name']}": lambda row: row["lead_interval"][0] > 0.0,
        "Not told apart from it": lambda row: (
            row["lead_interval"][0] <= 0.0 <= row["lead_interval"][1]
        ),
        "Better than chance, but behind it": lambda row: (
            row["interval"][0] > 0.5 and row["lead_interval"][1] < 0.0
        ),
        "No better than chance": lambda row: (
            row["interval"][0] <= 0.5 <= row["interval"][1] and row["lead_interval"][1] < 0.0
        ),
        "Prefers bad pairs": lambda row: row["interval"][1] < 0.5 and row["lead_interval"][1] < 0.0,
    }

    return "\n".join(
        f"- {title}: {'; '.join(told(row) for row in others if belongs(row)) or 'none'}."
        for title, belongs in groups.items()
    )


@dataclass(frozen=True, kw_only=True)
class _LearnerViews:
    similarity: EmbeddedPairs
    learner_loss: Scores
    trusted_loss: Scores


def _interval(values: Scores) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])

    return float(low), float(high)


def _reference_view(
    training_pairs: Sequence[Pair], variant: ReferenceVariant, pairs: Sequence[Pair], folder: Path
) -> EmbeddedPairs:
    training = ReferenceTraining(vocab_size=variant.vocab_size, dim=variant.dim)

    train_static_reference(training_pairs, training).save(str(folder), create_model_card=False)

    encoder = SentenceTransformerEncoder(
        SentenceTransformerConfig(model=str(folder), device="cpu", batch_size=1024)
    )

    source, target = (
        torch.from_numpy(encoder.encode([pair[side] for pair in pairs])) for side in (0, 1)
    )

    return EmbeddedPairs(source=source, target=target)


def _learner_views(
    trusted: Sequence[Pair], pairs: Sequence[Pair], scratch: Path, num_steps: int
) -> _LearnerViews:
    tokenizer = train_tokenizer(trusted, scratch / "tokenizer", VOCAB_SIZE)

    learner, trusted_model = _train(trusted, tokenizer, scratch / "trusted", num_steps)

    encode = tokenizer.create_raw_encoder()

    # Cut, not left out: every pair needs a score.
    source, target = (
        [encode(pair[side]).long()[: MAX_SEQ_LEN - 4] for pair in pairs] for side in (0, 1)
    )

    tokenized = TokenizedPairs(
        source=source,
        target=target,
        source_langs=[SOURCE] * len(pairs),
        target_langs=[TARGET] * len(pairs),
    )

    how: dict[str, Any] = {"device": torch.device("cpu"), "max_num_tokens": 2048}

    encoder = LearnerEncoder(learner, tokenizer, **how)

    def loss_of(model: TransformerModel) -> Scores:
        loss: Scores = TranslationLoss(model, tokenizer, **how).score(tokenized).double().numpy()

        return loss

    return _LearnerViews(
        similarity=EmbeddedPairs(
            source=encoder.encode_source(tokenized), target=encoder.encode_target(tokenized)
        ),
        learner_loss=loss_of(learner),
        trusted_loss=loss_of(trusted_model),
    )


def _train(
    pairs: Sequence[Pair], tokenizer: Tokenizer, folder: Path, num_steps: int
) -> tuple[TransformerModel, TransformerModel]:
    """The model after a quarter of the steps, and after all of them."""
    corpus = open_pairs(pairs, folder)

    gangs = gangs_of_one(torch.device("cpu"))

    torch.manual_seed(1)

    model = create_nllb_model(
        NllbConfig(
            model_dim=128,
            max_seq_len=MAX_SEQ_LEN,
            vocab_size=tokenizer.vocab_info.size,
            num_encoder_layers=2,
            num_decoder_layers=2,
            num_encoder_attn_heads=4,
            num_decoder_attn_heads=4,
            ffn_inner_dim=512,
        )
    ).train()

    selector = IidSelector(IidConfig(batch_size=48))

    reader = SelectingDataReader(
        corpus=corpus,
        super_batches=SuperBatchReader(
            CorpusSampler(corpus.sizes, corpus.weights, seed=1),
            PairTokenizer(corpus, tokenizer, max_seq_len=MAX_SEQ_LEN),
            selector.super_batch_size,
        ),
        selector=selector,
        learner=None,
        reference=None,
        batcher=MicroBatcher(tokenizer, max_num_tokens=2048),
        gangs=gangs,
        seed=1,
    )

    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98))

    run = SteppedRun(model, reader, optimizer, gangs)

    learner = model

    for step in range(1, num_steps + 1):
        run.step()

        if step == num_steps // 4:
            learner = deepcopy(model)

            print(f"learner: {step} steps done", flush=True)

    print(f"trusted model: {num_steps} steps done", flush=True)

    return learner, model


if __name__ == "__main__":
    sys.exit(main())
