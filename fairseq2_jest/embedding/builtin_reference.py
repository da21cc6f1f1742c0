"""The reference model of the built-in corpus, trained on its clean pairs in seconds."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.validation import ValidationResult

from fairseq2_jest.cache import build_once, cache_dir
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.reference import (
    ReferenceEncoder,
    SentenceTransformerConfig,
    SentenceTransformerEncoder,
)

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ReferenceTraining:
    """How the reference is trained; each set of values is a model of its own in the cache."""

    size: int = 6_000
    """Pairs of the ``trusted`` part of the built-in corpus. No pair of that part is in the pool,
    in valid or in test, hence the reference has seen nothing that it is asked to judge."""

    vocab_size: int = 2_000
    """Pieces of words, shared by both languages."""

    dim: int = 128
    """The length of an embedding."""

    epochs: int = 6
    """Passes over the pairs."""

    batch_size: int = 256
    """Pairs a step; the others of a batch are a pair's negatives."""

    learning_rate: float = 0.02
    """Adam's."""

    seed: int = 1
    """Decides weights at the start and the order of pairs."""


@dataclass(frozen=True, kw_only=True)
class BuiltinReferenceConfig:
    """The reference of the built-in corpus: nothing to choose but where it runs."""

    device: str | None = "cpu"
    """``cpu`` is fastest for a mean of token vectors; ``None`` is the GPU if there is one."""

    batch_size: int = 1_024
    """Sentences a forward pass."""

    def validate(self) -> ValidationResult:
        return SentenceTransformerConfig(device=self.device, batch_size=self.batch_size).validate()


def create_builtin_reference_encoder(
    resolver: DependencyResolver, config: BuiltinReferenceConfig
) -> ReferenceEncoder:
    """Make the ``builtin`` component, training its model at the first use."""
    return SentenceTransformerEncoder(
        SentenceTransformerConfig(
            model=str(ensure_builtin_reference()),
            device=config.device,
            dtype="float32",
            batch_size=config.batch_size,
        )
    )


def ensure_builtin_reference(training: ReferenceTraining | None = None) -> Path:
    """Return the folder of the trained reference, a usual sentence-transformers model.

    It is trained if the cache lacks it: the same model, bit for bit, on any one platform.

    :raises EmbeddingError: The cache cannot be written.
    """
    from fairseq2_jest.corpus.builtin import VERSION

    if training is None:
        training = ReferenceTraining()
    settings = json.dumps({**asdict(training), "corpus": VERSION}, sort_keys=True)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:16]
    folder = cache_dir() / "builtin" / digest / "reference"
    try:
        return build_once(folder, lambda scratch: _train_into(scratch, training))
    except OSError as ex:
        raise EmbeddingError(
            f"The reference of the built-in corpus cannot be written to {folder} ({ex.strerror}): "
            "make room, or name another cache folder in FAIRSEQ2_JEST_CACHE_DIR."
        ) from ex


def _train_into(folder: Path, training: ReferenceTraining) -> None:
    from fairseq2_jest.corpus.builtin import BuiltinConfig, generate

    log.info("Training the reference of the built-in corpus on %d clean pairs.", training.size)
    pairs = [
        (pair.source, pair.target)
        for pair in generate(BuiltinConfig(part="trusted", size=training.size))
    ]
    # A recipe that trains no model runs under inference mode as a whole.
    with torch.inference_mode(False):
        model = train_static_reference(pairs, training)
    model.save(str(folder), create_model_card=False)


def train_static_reference(
    pairs: Sequence[tuple[str, str]], training: ReferenceTraining
) -> SentenceTransformer:
    """Fit a bag of token vectors by in-batch ranking in both directions."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    generator = torch.Generator().manual_seed(training.seed)
    tokenizer = _train_tokenizer(pairs, training.vocab_size)
    weights = torch.randn(tokenizer.get_vocab_size(), training.dim, generator=generator)
    model: SentenceTransformer = SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu"
    )
    loss_function = MultipleNegativesRankingLoss(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=training.learning_rate)

    num_threads = torch.get_num_threads()
    # The order in which threads add decides the last bits, and the machine their number.
    torch.set_num_threads(1)
    try:
        for _ in range(training.epochs):
            order = torch.randperm(len(pairs), generator=generator).tolist()
            # A short last batch would rank among few, hence is left out.
            for start in range(0, len(order) - training.batch_size + 1, training.batch_size):
                batch = [pairs[i] for i in order[start : start + training.batch_size]]
                source = model.preprocess([source for source, _ in batch])
                target = model.preprocess([target for _, target in batch])
                labels = torch.empty(0)
                loss = loss_function([source, target], labels)
                loss = loss + loss_function([target, source], labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    finally:
        torch.set_num_threads(num_threads)
    return model


def _train_tokenizer(pairs: Sequence[tuple[str, str]], vocab_size: int) -> Tokenizer:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    # Not WordPiece: its trainer numbers pieces by the order of a hash map, anew in each process.
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation()]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=["[UNK]"], show_progress=False
    )
    tokenizer.train_from_iterator((side for pair in pairs for side in pair), trainer)
    return tokenizer
