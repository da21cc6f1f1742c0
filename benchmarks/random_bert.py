"""A sentence-transformers model shaped like LaBSE, with random weights, of any size."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def save_random_bert(
    texts: Iterable[str],
    folder: Path,
    *,
    hidden_size: int = 128,
    num_layers: int = 2,
    num_heads: int = 2,
    initializer_range: float = 0.02,
    dense_dim: int | None = None,
    seed: int = 1,
) -> Path:
    """Save a BERT that knows the words of ``texts``, and return the folder of the model.

    :param dense_dim: What a last layer maps to, as LaBSE has one; ``None`` leaves it out.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = sorted({word for text in texts for word in text.lower().split()})

    vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]

    bert = folder / "bert"
    bert.mkdir(parents=True)

    (bert / "vocab.txt").write_text("\n".join(vocab), encoding="utf-8")

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)

        config = BertConfig(
            vocab_size=len(vocab),
            hidden_size=hidden_size,
            num_hidden_layers=num_layers,
            num_attention_heads=num_heads,
            intermediate_size=4 * hidden_size,
            initializer_range=initializer_range,
        )

        BertModel(config).save_pretrained(bert)

        dense = None if dense_dim is None else Dense(hidden_size, dense_dim)

    tokenizer = BertTokenizerFast(str(bert / "vocab.txt"))
    tokenizer.save_pretrained(bert)

    modules: list[torch.nn.Module] = [Transformer(str(bert)), Pooling(hidden_size, "mean")]

    if dense is not None:
        modules.append(dense)

    model: SentenceTransformer = SentenceTransformer(modules=modules, device="cpu")
    model.save(str(folder / "model"), create_model_card=False)

    return folder / "model"
