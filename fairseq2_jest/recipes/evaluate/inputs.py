"""Reading what is to be scored: the files must have a line for each other's lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq2_jest.corpus.languages import language_keys
from fairseq2_jest.corpus.manifest import file_sha256
from fairseq2_jest.corpus.pair import Direction, parse_direction
from fairseq2_jest.evaluation.errors import EvaluationError
from fairseq2_jest.evaluation.result import TextFile
from fairseq2_jest.recipes.evaluate.config import EvaluateConfig
from fairseq2_jest.translation.config import format_of_suffix
from fairseq2_jest.translation.source import JsonLinesSource, SourceFile, TextSource, TsvSource


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The texts of all files."""

    direction: Direction

    systems: dict[str, TextFile]

    references: list[TextFile]

    source: TextFile | None

    @property
    def reference_texts(self) -> list[Sequence[str]]:
        """The texts of each reference."""
        return [reference.texts for reference in self.references]


def read_inputs(config: EvaluateConfig) -> Inputs:
    """Reads all files.

    :raises EvaluationError: One is empty, or has not as many lines as the first reference.
    :raises TranslationError: A line cannot be read, or a column is not there.
    :raises CorpusError: A file cannot be read.
    """
    direction, columns = parse_direction(config.direction), config.columns

    target_keys = ("tgt", "target", *language_keys(direction.target))
    source_keys = ("src", "source", *language_keys(direction.source))

    references = [
        _read(path, columns.reference, 1, target_keys, "columns.reference")
        for path in config.references
    ]

    systems = {
        name: _read(path, columns.hypothesis, 1, (), "columns.hypothesis")
        for name, path in config.systems.items()
    }

    source = config.source

    inputs = Inputs(
        direction=direction,
        systems=systems,
        references=references,
        source=None
        if source is None
        else _read(source, columns.source, 0, source_keys, "columns.source"),
    )

    _check_lengths(inputs)

    return inputs


def _read(
    path: Path, column: int | str | None, default: int, keys: Sequence[str], field: str
) -> TextFile:
    path = path.expanduser()

    file: SourceFile

    match format_of_suffix(path):
        case "tsv":
            file = TsvSource(path, str(path), default if column is None else column, field)
        case "jsonl":
            if isinstance(column, int):
                raise EvaluationError(f"{field} must be a name, since {path} is jsonl.")

            file = JsonLinesSource(path, str(path), keys if column is None else (column,))
        case _:
            file = TextSource(path, str(path))

    texts = [line.text for line in file.read()]

    if not texts:
        raise EvaluationError(f"{path} has no lines; name a file that has.")

    return TextFile(path=path, sha256=file_sha256(path), texts=texts)


def _check_lengths(inputs: Inputs) -> None:
    first, *others = inputs.references

    for file in (*others, *inputs.systems.values(), *filter(None, [inputs.source])):
        if len(file.texts) != len(first.texts):
            raise EvaluationError(
                f"{file.path} has {len(file.texts):,} lines, but the reference {first.path} has "
                f"{len(first.texts):,}: each line must be about the same sentence; name files that "
                "belong together."
            )
