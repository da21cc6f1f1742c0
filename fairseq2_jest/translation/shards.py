"""The translations of a file in blocks of lines, each a file of its own until all are there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from fairseq2_jest.files import write_text
from fairseq2_jest.translation.errors import TranslationError, writing
from fairseq2_jest.translation.result import Hypothesis, Translation

_SUFFIX: Final = ".jsonl"


class Shards:
    """Block *i* is the lines from ``i * block_size``, whoever translates it.

    A block appears under its name when it is complete and on the disk, so that a killed run leaves
    whole blocks only.
    """

    def __init__(self, folder: Path, *, num_lines: int, block_size: int) -> None:
        self.folder = folder
        self.num_lines = num_lines
        self.block_size = block_size

    @property
    def num_blocks(self) -> int:
        """How many blocks the file has."""
        return -(-self.num_lines // self.block_size)

    def size_of(self, block: int) -> int:
        """The number of lines of a block."""
        return min(self.block_size, self.num_lines - block * self.block_size)

    def present(self) -> set[int]:
        """The blocks that have a file."""
        if not self.folder.is_dir():
            return set()

        stems = (
            name.removesuffix(_SUFFIX)
            for name in os.listdir(self.folder)
            if name.endswith(_SUFFIX) and not name.startswith(".")
        )

        return {int(stem) for stem in stems if stem.isdecimal() and int(stem) < self.num_blocks}

    def count_lines(self) -> int:
        """The lines of the blocks that have a file."""
        return sum(self.size_of(block) for block in self.present())

    def missing(self) -> list[int]:
        """The blocks to translate, ascending: those without a file, or with a damaged one."""
        present = self.present()

        return [
            block
            for block in range(self.num_blocks)
            if block not in present or not self._is_whole(block)
        ]

    def _is_whole(self, block: int) -> bool:
        try:
            return len(self._read(block)) == self.size_of(block)
        except TranslationError:
            return False

    def clean(self, missing: Sequence[int] = ()) -> None:
        """Makes the folder and removes what a killed run was in the middle of.

        :param missing: The blocks to translate, of which damaged ones are removed, too: those that
            are present from then on are new.
        """
        self.folder.mkdir(parents=True, exist_ok=True)

        for file in (*self.folder.glob(".*.tmp"), *map(self._file, missing)):
            file.unlink(missing_ok=True)

    def write(self, block: int, translations: Sequence[Translation]) -> None:
        """Makes the result of a block safe.

        :raises TranslationError: It cannot be written.
        """
        if len(translations) != self.size_of(block):
            raise ValueError(f"Block {block} has {self.size_of(block)} lines.")

        lines = (json.dumps(asdict(t), ensure_ascii=False) + "\n" for t in translations)

        with writing(self._file(block)):
            write_text(self._file(block), "".join(lines))

    def read(self) -> Iterator[Translation]:
        """Yields the translations of all lines, in order.

        :raises TranslationError: A block is missing or damaged, or cannot be read.
        """
        for block in range(self.num_blocks):
            translations = self._read(block)

            if len(translations) != self.size_of(block):
                raise self._damaged(block)

            yield from translations

    def _read(self, block: int) -> list[Translation]:
        try:
            lines = self._file(block).read_text(encoding="utf-8").split("\n")

            # Behind the last line end there is nothing.
            if lines.pop() != "":
                raise self._damaged(block)

            return [_parse(line) for line in lines]
        except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError) as ex:
            raise self._damaged(block) from ex
        except OSError as ex:
            raise self._damaged(block, f"cannot be read ({ex.strerror or ex})") from ex

    def _file(self, block: int) -> Path:
        return self.folder / f"{block:08}{_SUFFIX}"

    def _damaged(self, block: int, fault: str = "is missing or damaged") -> TranslationError:
        return TranslationError(
            f"{self._file(block)} {fault}; start the same command again, and its "
            "lines will be translated anew."
        )


def _parse(line: str) -> Translation:
    values = json.loads(line)

    values["hypotheses"] = tuple(Hypothesis(**hypothesis) for hypothesis in values["hypotheses"])

    return Translation(**values)
