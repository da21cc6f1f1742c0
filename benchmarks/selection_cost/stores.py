"""A reference's view and a reference model's losses, as a run finds them that has been through its
corpus."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.device import CPU
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model
from numpy.typing import NDArray
from typing_extensions import override

from benchmarks.selection_cost.shapes import Shape
from fairseq2_jest.corpus.dataset import Corpus
from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.digest import digest_of_model
from fairseq2_jest.embedding.fill import Filler
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.reference import ReferenceEncoder
from fairseq2_jest.embedding.reference_loss import ReferenceLoss
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from fairseq2_jest.selection.tokenizing import PairTokenizer

REFERENCE_DIM: Final = 768


class RandomReference(ReferenceEncoder):
    """A random direction for each text."""

    @override
    def encode(self, texts: Sequence[str], lang: str | None = None) -> NDArray[np.float32]:
        vectors = np.stack(
            [
                np.random.default_rng(zlib.crc32(text.encode())).standard_normal(REFERENCE_DIM)
                for text in texts
            ]
        )

        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

        return unit.astype(np.float32)

    @property
    @override
    def dim(self) -> int:
        return REFERENCE_DIM

    @property
    @override
    def identity(self) -> Mapping[str, str]:
        return {"encoder": "random"}


def filled_reference(corpus: Corpus) -> CachedReference:
    """The view of a reference that costs nothing."""
    reference = CachedReference.open(
        RandomReference(), corpus, corpus_digest=corpus.digest, num_rows=len(corpus)
    )

    Filler(reference).run(range(reference.score_store.num_chunks), verify=False)

    return reference


def filled_reference_loss(shape: Shape, corpus: Corpus, tokenizer: Tokenizer) -> ReferenceLoss:
    """The losses of a model that costs next to nothing: where they come from does not matter."""
    config = NllbConfig(
        model_dim=8,
        max_seq_len=shape.model.max_seq_len,
        vocab_size=tokenizer.vocab_info.size,
        num_encoder_layers=1,
        num_decoder_layers=1,
        num_encoder_attn_heads=1,
        num_decoder_attn_heads=1,
        ffn_inner_dim=8,
    )

    model = create_nllb_model(config)

    losses = ReferenceLoss.open(
        TranslationLoss(ForwardPass(model, device=CPU, max_num_tokens=8192), tokenizer),
        model_digest=digest_of_model(model),
        corpus_digest=corpus.digest,
        num_rows=len(corpus),
    )

    pair_tokenizer = PairTokenizer(corpus, tokenizer, max_seq_len=shape.max_seq_len)

    for rows in np.array_split(np.arange(len(corpus), dtype=np.int64), 10):
        losses.score(*pair_tokenizer(rows))

    return losses
