"""The tokenizer of the built-in corpus: fairseq2's own NLLB tokenizer around a small model.

fairseq2 loads a tokenizer from the URI on its asset card. The card ``builtin-ende`` names a
scheme that this package registers and that makes the file instead of downloading it. So the
card's family is plain ``nllb``, and the card works wherever fairseq2 takes a tokenizer.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
from collections.abc import Iterator, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn, final

from fairseq2.assets import AssetDownloadError, AssetDownloadManager
from fairseq2.error import NotSupportedError
from fairseq2.runtime.dependency import DependencyContainer
from fairseq2.utils.uri import Uri
from typing_extensions import override

from fairseq2_jest.cache import build_once, cache_dir
from fairseq2_jest.models.tiny import BUILTIN_VOCAB_SIZE

log = logging.getLogger(__name__)

BUILTIN_TOKENIZER = "builtin-ende"
"""The name of the asset card."""

BUILTIN_SCHEME = "fairseq2-jest"
"""URIs ``fairseq2-jest:<name>`` stand for what this package makes when it is first asked for."""

# fairseq2 adds a token for each of the two languages, three for kinds of data, and padding.
_NUM_ADDED = 6


@dataclass(frozen=True, kw_only=True)
class TokenizerTraining:
    """How the tokenizer is trained; each set of values is a file of its own in the cache."""

    pretrain_size: int = 10_000
    """Pairs of the ``pretrain`` part of the built-in corpus, both sides of each."""

    trusted_size: int = 6_000
    """Pairs of its ``trusted`` part, both sides of each."""

    vocab_size: int = BUILTIN_VOCAB_SIZE - _NUM_ADDED
    """SentencePiece pieces."""


def register_builtin_tokenizer(container: DependencyContainer) -> None:
    """Let asset cards name the built-in tokenizer; the card itself is registered with the rest."""
    container.collection.register_type(AssetDownloadManager, BuiltinAssetManager)


@final
class BuiltinAssetManager(AssetDownloadManager):
    """Serves ``fairseq2-jest:builtin-ende``, training the tokenizer at the first use."""

    @override
    def download_tokenizer(
        self,
        uri: Uri,
        tokenizer_name: str = "",
        *,
        force: bool = False,
        local_only: bool = False,
        progress: bool = True,
    ) -> Path:
        if uri.path != BUILTIN_TOKENIZER:
            raise AssetDownloadError(
                uri,
                f"{uri} is not a tokenizer that fairseq2_jest makes: it makes "
                f"{BUILTIN_SCHEME}:{BUILTIN_TOKENIZER}.",
            )
        # Even with `local_only`: on a node that shares no cache with rank 0, making the same
        # file once more is no download.
        return ensure_builtin_tokenizer()

    @override
    def download_model(
        self,
        uri: Uri,
        model_name: str = "",
        *,
        force: bool = False,
        local_only: bool = False,
        progress: bool = True,
    ) -> Path:
        _refuse(uri, "model")

    @override
    def download_dataset(
        self,
        uri: Uri,
        dataset_name: str = "",
        *,
        force: bool = False,
        local_only: bool = False,
        progress: bool = True,
    ) -> Path:
        _refuse(uri, "dataset")

    @property
    @override
    def supported_schemes(self) -> Set[str]:
        return {BUILTIN_SCHEME}


def ensure_builtin_tokenizer(training: TokenizerTraining | None = None) -> Path:
    """Return the SentencePiece model file, trained first if the cache lacks it.

    The same corpus and settings give the same file, byte for byte.

    :raises OSError: The cache cannot be written.
    """
    from fairseq2_jest.corpus.builtin import VERSION

    if training is None:
        training = TokenizerTraining()
    settings = json.dumps({**asdict(training), "corpus": VERSION}, sort_keys=True)
    digest = hashlib.sha256(settings.encode()).hexdigest()[:16]
    folder = build_once(
        cache_dir() / "builtin" / digest / "tokenizer",
        lambda scratch: _train_into(scratch, training),
    )
    return folder / "sentencepiece.model"


def _train_into(folder: Path, training: TokenizerTraining) -> None:
    from sentencepiece import SentencePieceTrainer

    log.info("Training the tokenizer of the built-in corpus.")
    model = io.BytesIO()
    # Padding is left out: fairseq2 puts it in front when it loads a model for NLLB.
    SentencePieceTrainer.train(
        sentence_iterator=_texts(training),
        model_writer=model,
        model_type="unigram",
        vocab_size=training.vocab_size,
        character_coverage=1.0,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "sentencepiece.model").write_bytes(model.getvalue())


def _texts(training: TokenizerTraining) -> Iterator[str]:
    from fairseq2_jest.corpus.builtin import BuiltinConfig, generate

    for config in (
        BuiltinConfig(part="pretrain", size=training.pretrain_size),
        BuiltinConfig(part="trusted", size=training.trusted_size),
    ):
        for pair in generate(config):
            yield pair.source
            yield pair.target


def _refuse(uri: Uri, kind: str) -> NoReturn:
    raise NotSupportedError(
        f"{uri} cannot be a {kind}: the {BUILTIN_SCHEME} scheme is for tokenizers."
    )
