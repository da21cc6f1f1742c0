"""What all arms start from: files, a base model, and a reverse model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import DIRECTION
from benchmarks.arms import Arm, ArmResult, checkpoint, run_arms
from benchmarks.back_translation.text import Text
from benchmarks.bitext import (
    SOURCE,
    TARGET,
    bitext_config,
    train_pieces,
    train_reference,
    write_pairs,
)
from benchmarks.configs import write_config
from benchmarks.demo import regime
from fairseq2_jest.embedding.builtin_reference import ReferenceTraining

VOCAB_SIZE: Final = 4_000

REVERSED = f"{TARGET}-{SOURCE}"

NO_BLEU: Final = ("validation.bleu=false", "validation.chrf=false")
"""Arms are judged by what `mt translate` makes."""

TRANSLATION: Final = (
    "translation={block_size: 2000, max_source_len: 160, max_num_tokens: 4096}",
    "common.torch.num_threads=1",
)
"""How text becomes batches, on one core."""

BEAM: Final = (
    "seq2seq_generator.config.beam_size=2",
    "seq2seq_generator.config.max_gen_len=100",
)
"""How it is translated, unless said otherwise."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A folder with the text's parts, and the models that were trained there."""

    out: Path

    text: Text

    num_pretrain_steps: int
    """Steps of base and reverse model, 100 pairs each."""

    def prepare(self) -> None:
        """Writes files and tokenizer, and trains reference encoder, base and reverse model, each
        unless it is there."""
        if not (self.out / "reference").exists():
            self._write_files()

        run_arms([self.base, self.reverse], self.out)

    def _write_files(self) -> None:
        text = self.text

        parts = {"trusted": text.trusted, "reverse": text.reverse, "genuine": text.genuine}

        for name, pairs in {**parts, **text.tests}.items():
            write_pairs(self.file(name), pairs)

        _write_lines(self.out / "monolingual.txt", text.monolingual)

        for name, pairs in text.tests.items():
            _write_lines(self.out / f"{name}.ref.txt", [target for _, target in pairs])

        _write_lines(
            self.out / "sources.txt", [s for pairs in text.tests.values() for s, _ in pairs]
        )

        train_pieces(text.trusted, self.out, VOCAB_SIZE)

        train_reference(
            text.trusted, self.out / "reference", ReferenceTraining(vocab_size=VOCAB_SIZE)
        )

    def file(self, part: str) -> Path:
        """The file with the pairs of a part of the text."""
        return self.out / f"{part}.tsv"

    @property
    def base(self) -> Arm:
        """The run of the model that arms go on from."""
        return self._pretraining("base", {"path": str(self.file("trusted"))})

    @property
    def reverse(self) -> Arm:
        """The run of the model that translates from German back to English."""
        corpus = {"path": str(self.file("reverse")), **_REVERSED_COLUMNS}

        return self._pretraining("reverse", corpus, **_REVERSED_COLUMNS)

    def _pretraining(self, name: str, corpus: Mapping[str, object], **columns: object) -> Arm:
        return Arm(
            name=f"{name} model",
            key=name,
            preset="demo-iid",
            file=self.config(name, [corpus], **columns),
            overrides=(*NO_BLEU, *regime(self.num_pretrain_steps, 2)),
        )

    @property
    def base_result(self) -> ArmResult:
        (result,) = run_arms([self.base], self.out)

        return result

    @property
    def base_model(self) -> Path:
        return checkpoint(self.out, self.base, self.num_pretrain_steps)

    def config(self, name: str, corpora: Sequence[Mapping[str, object]], **columns: object) -> Path:
        """Writes the config of a run that trains on ``corpora``.

        :param columns: What is to be said of the validation set beside its file.
        """
        valid = {"split": "valid", "path": str(self.file("captions")), **columns}

        train = [{"split": "train", **corpus} for corpus in corpora]

        named = [{"direction": DIRECTION, **corpus} for corpus in (*train, valid)]

        config = bitext_config(
            self.out / "tokenizer.model", VOCAB_SIZE, self.out / "reference", named
        )

        return write_config(self.out / "configs" / f"{name}.yaml", config)


_REVERSED_COLUMNS: Final = {"direction": REVERSED, "source_column": 1, "target_column": 0}


def _write_lines(file: Path, lines: Sequence[str]) -> None:
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
