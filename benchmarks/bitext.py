"""Bitext of the benchmarks: files, a prepared corpus, a tokenizer and a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq2.data.tokenizers import Tokenizer
from fairseq2.models.nllb.tokenizer import NllbTokenizerConfig, load_nllb_tokenizer

from benchmarks import DIRECTION
from fairseq2_jest.corpus.config import CorpusConfig, ParallelTextConfig
from fairseq2_jest.corpus.dataset import Corpus, open_parallel_text
from fairseq2_jest.embedding.builtin_reference import ReferenceTraining, train_static_reference

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SOURCE, TARGET = DIRECTION.split("-")

Pair = tuple[str, str]


def read_pairs(folder: Path, split: str = "train") -> list[Pair]:
    """The pairs of two aligned files, English and German."""
    sources, targets = (
        (folder / f"{split}.{lang}").read_text(encoding="utf-8").rstrip("\n").split("\n")
        for lang in ("en", "de")
    )

    return list(zip(sources, targets, strict=True))


def write_pairs(file: Path, pairs: Sequence[Pair], labels: Sequence[str] | None = None) -> None:
    """Writes pairs as TSV, each with its label where there are labels."""
    rows = [[side.replace("\t", " ") for side in pair] for pair in pairs]

    if labels is not None:
        rows = [[*row, label] for row, label in zip(rows, labels, strict=True)]

    file.parent.mkdir(parents=True, exist_ok=True)

    file.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


def open_pairs(pairs: Sequence[Pair], folder: Path) -> Corpus:
    """A prepared corpus of these pairs under ``folder``; the corpus's own cleaning applies."""
    file = folder / "pairs.tsv"

    write_pairs(file, pairs)

    corpus = CorpusConfig(split="train", direction=DIRECTION, path=file)

    config = ParallelTextConfig(corpora=[corpus], cache_dir=folder / "cache")

    return open_parallel_text(config).open("train")


def train_pieces(
    pairs: Sequence[Pair], folder: Path, vocab_size: int, *, at_most: bool = False
) -> Path:
    """SentencePiece pieces of these pairs, for a tokenizer of NLLB's of ``vocab_size`` with all.

    :param at_most: Whether fewer will do, where the text has no more to give.
    :returns: The file.
    """
    import sentencepiece

    folder.mkdir(parents=True, exist_ok=True)

    # fairseq2 adds two languages, three kinds of data, and padding.
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([side for pair in pairs for side in pair]),
        model_prefix=str(folder / "tokenizer"),
        vocab_size=vocab_size - 6,
        hard_vocab_limit=not at_most,
        num_threads=1,
        minloglevel=2,
    )

    return folder / "tokenizer.model"


def train_tokenizer(pairs: Sequence[Pair], folder: Path, vocab_size: int) -> Tokenizer:
    """NLLB's tokenizer around pieces of these pairs, ``vocab_size`` with all, or fewer."""
    config = NllbTokenizerConfig(langs=[SOURCE, TARGET], default_lang=SOURCE)

    return load_nllb_tokenizer(train_pieces(pairs, folder, vocab_size, at_most=True), config)


def train_reference(
    pairs: Sequence[Pair], folder: Path, training: ReferenceTraining
) -> SentenceTransformer:
    """A reference encoder that learned from these pairs, saved under ``folder``."""
    reference = train_static_reference(pairs, training)

    reference.save(str(folder), create_model_card=False)

    return reference


def bitext_config(
    tokenizer: Path, vocab_size: int, reference: Path, corpora: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    """What the demo presets need for such corpora: a tiny NLLB, its tokenizer, and a reference."""
    return {
        "model": {"config_overrides": {"vocab_size": vocab_size}},
        "tokenizer": {
            "name": None,
            "path": str(tokenizer),
            "family": "nllb",
            "config_overrides": {"langs": [SOURCE, TARGET], "default_lang": SOURCE},
        },
        "dataset": {
            "name": None,
            "family": "parallel_text",
            "max_seq_len": 160,
            "config_overrides": {"corpora": corpora},
        },
        "reference_encoder": {
            "name": "sentence_transformer",
            "config": {"model": str(reference), "device": "cpu"},
        },
    }
