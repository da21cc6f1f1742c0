"""What models that learned from trusted pairs say of others: references, learner, trusted model."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import CPU
from fairseq2.gang import create_fake_gangs
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model
from fairseq2.models.transformer import TransformerModel

from benchmarks.bitext import (
    SOURCE,
    TARGET,
    Pair,
    open_pairs,
    train_reference,
    train_tokenizer,
)
from benchmarks.noise_detection.pairs import Scores
from benchmarks.steps import SteppedRun
from fairseq2_jest.corpus.sampling import CorpusSampler
from fairseq2_jest.embedding.builtin_reference import ReferenceTraining
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.learner import LearnerEncoder
from fairseq2_jest.embedding.reference import SentenceTransformerConfig, SentenceTransformerEncoder
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.selection.embedder import SuperBatchEmbedder
from fairseq2_jest.selection.iid import IidConfig, IidSelector
from fairseq2_jest.selection.learnability import EmbeddedPairs
from fairseq2_jest.selection.reader import SelectingDataReader
from fairseq2_jest.selection.tokenizing import PairTokenizer, SuperBatchReader

VOCAB_SIZE: Final = 8_000

MAX_SEQ_LEN: Final = 128


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
class TrainedModels:
    """Models that learned from trusted pairs."""

    tokenizer: Tokenizer

    learner: TransformerModel
    """After a quarter of the training."""

    trusted_model: TransformerModel
    """After all of it."""

    adapted_model: TransformerModel
    """That one after a short fine-tune on the judged pairs, their labels unknown to it."""


@dataclass(frozen=True, kw_only=True)
class LearnerViews:
    """What learner and trusted model say."""

    similarity: EmbeddedPairs
    learner_loss: Scores
    trusted_loss: Scores


def reference_view(
    training_pairs: Sequence[Pair], variant: ReferenceVariant, pairs: Sequence[Pair], folder: Path
) -> EmbeddedPairs:
    """What a reference says of ``pairs``."""
    training = ReferenceTraining(vocab_size=variant.vocab_size, dim=variant.dim)

    train_reference(training_pairs, folder, training)

    encoder = SentenceTransformerEncoder(
        SentenceTransformerConfig(model=str(folder), device="cpu", batch_size=1024)
    )

    source, target = (
        torch.from_numpy(encoder.encode([pair[side] for pair in pairs])) for side in (0, 1)
    )

    return EmbeddedPairs(source=source, target=target)


def train_models(
    trusted: Sequence[Pair], pairs: Sequence[Pair], scratch: Path, num_steps: int
) -> TrainedModels:
    """Trains models on trusted pairs, the last one for a sixth as long on ``pairs``, too."""
    tokenizer = train_tokenizer(trusted, scratch / "tokenizer", VOCAB_SIZE)

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
    )

    learner = _train(model, trusted, tokenizer, scratch / "trusted", num_steps, num_steps // 4)

    adapted_model = deepcopy(model)

    _train(adapted_model, pairs, tokenizer, scratch / "judged", max(1, num_steps // 6), 0)

    return TrainedModels(
        tokenizer=tokenizer, learner=learner, trusted_model=model, adapted_model=adapted_model
    )


def tokenize(pairs: Sequence[Pair], tokenizer: Tokenizer) -> TokenizedPairs:
    encode = tokenizer.create_raw_encoder()

    # Cut, not left out: every pair needs a score.
    source, target = (
        [encode(pair[side]).long()[: MAX_SEQ_LEN - 4] for pair in pairs] for side in (0, 1)
    )

    return TokenizedPairs(
        source=source,
        target=target,
        source_langs=[SOURCE] * len(pairs),
        target_langs=[TARGET] * len(pairs),
    )


def learner_views(models: TrainedModels, pairs: Sequence[Pair]) -> LearnerViews:
    """What the models say of ``pairs``."""
    tokenizer, tokenized = models.tokenizer, tokenize(pairs, models.tokenizer)

    def run(model: TransformerModel) -> ForwardPass:
        return ForwardPass(model, device=CPU, max_num_tokens=2048)

    encoder = LearnerEncoder(run(models.learner), tokenizer)

    def loss_of(model: TransformerModel) -> Scores:
        loss: Scores = TranslationLoss(run(model), tokenizer).score(tokenized).double().numpy()

        return loss

    return LearnerViews(
        similarity=EmbeddedPairs(
            source=encoder.encode_source(tokenized), target=encoder.encode_target(tokenized)
        ),
        learner_loss=loss_of(models.learner),
        trusted_loss=loss_of(models.trusted_model),
    )


def _train(
    model: TransformerModel,
    pairs: Sequence[Pair],
    tokenizer: Tokenizer,
    folder: Path,
    num_steps: int,
    copied_step: int,
) -> TransformerModel:
    """Trains a model, and returns a copy of what it was at a step."""
    corpus = open_pairs(pairs, folder)

    gangs = create_fake_gangs(CPU)

    model.train()

    selector = IidSelector(IidConfig(batch_size=48))

    reader = SelectingDataReader(
        corpus=corpus,
        super_batches=SuperBatchReader(
            CorpusSampler(corpus.sizes, corpus.weights, seed=1),
            PairTokenizer(corpus, tokenizer, max_seq_len=MAX_SEQ_LEN),
            selector.super_batch_size,
        ),
        selector=selector,
        embedder=SuperBatchEmbedder(selector, gangs),
        batcher=MicroBatcher(tokenizer, max_num_tokens=2048),
        gangs=gangs,
        seed=1,
    )

    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98))

    run = SteppedRun(model, reader, optimizer, gangs)

    copy = model

    for step in range(1, num_steps + 1):
        run.step()

        if step == copied_step:
            copy = deepcopy(model)

    print(f"{num_steps} steps on {folder.name} pairs done", flush=True)

    return copy
