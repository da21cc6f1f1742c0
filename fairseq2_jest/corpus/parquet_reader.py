"""Parquet: two string columns, or a ``translation`` struct as Hugging Face data sets have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from fairseq2_jest.corpus.cleaning import Reason
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.lines import reading
from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.corpus.records import Record, Reject, excerpt
from fairseq2_jest.corpus.text_readers import pair_keys

if TYPE_CHECKING:
    import pyarrow as pa

_BATCH_ROWS = 4096


class ParquetReader:
    """The rows of one Parquet file, read a few thousand at a time."""

    def __init__(
        self,
        path: Path,
        direction: Direction,
        source: str | None,
        target: str | None,
        label: str | None,
    ) -> None:
        self.files: tuple[Path, ...] = (path,)
        self.names = (str(path),)
        self.sides = (0, 0)
        self._path = path
        self._keys = pair_keys(direction, source, target)
        self._label = label
        self.settings: Mapping[str, object] = {"keys": self._keys, "label": label}

    def check(self) -> None:
        import pyarrow.parquet as pq

        with reading(self._path), pq.ParquetFile(self._path) as file:
            self._columns(file.schema_arrow)

    def read(self) -> Iterator[Record | Reject]:
        import pyarrow.parquet as pq

        with reading(self._path), pq.ParquetFile(self._path, pre_buffer=False) as file:
            columns = self._columns(file.schema_arrow)
            number = 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
                values = [_raw_values(batch, column) for column in columns]
                if len(values) == 2:
                    values.append([None] * batch.num_rows)
                for source, target, label in zip(*values, strict=True):
                    number += 1
                    yield _record(number, source, target, label)

    def _columns(self, schema: pa.Schema) -> list[str]:
        import pyarrow as pa

        types = {f.name: f.type for f in schema}
        struct = types.get("translation")
        if struct is not None and pa.types.is_struct(struct):
            types |= {f"translation.{f.name}": f.type for f in struct}
        columns = []
        for keys in self._keys:
            names = [n for k in keys for n in (f"translation.{k}", k)]
            columns.append(next((n for n in names if n in types), None))
        if self._label is not None:
            columns.append(self._label if self._label in types else None)
        wanted = (*(" or ".join(map(repr, k)) for k in self._keys), repr(self._label))
        found = []
        for name, want in zip(columns, wanted, strict=False):
            if name is None:
                raise CorpusError(
                    f"{self._path} has no column {want}: name one of its columns "
                    f"({', '.join(map(repr, types))}) in `source_column`, `target_column` or "
                    "`label_column`."
                )
            if not _is_text(types[name]):
                raise CorpusError(
                    f"Column '{name}' of {self._path} holds {types[name]}: name one of strings."
                )
            found.append(name)
        return found


def _is_text(type_: pa.DataType) -> bool:
    import pyarrow.types as t

    if t.is_dictionary(type_):
        type_ = type_.value_type
    return any(
        is_(type_)
        for is_ in (
            t.is_string,
            t.is_large_string,
            t.is_string_view,
            t.is_binary,
            t.is_large_binary,
        )
    )


def _raw_values(batch: pa.RecordBatch, name: str) -> list[bytes | None]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if name.startswith("translation.") and name not in batch.schema.names:
        # Not `field`, which ignores that the struct itself may be null.
        array = pc.struct_field(batch.column("translation"), name.removeprefix("translation."))
    else:
        array = batch.column(name)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    # As bytes, since Arrow does not check that a file's strings are UTF-8.
    values: list[bytes | None] = array.cast(pa.large_binary()).to_pylist()
    return values


def _record(
    number: int, source: bytes | None, target: bytes | None, label: bytes | None
) -> Record | Reject:
    if source is None or target is None:
        return Reject(0, number, Reason.NULL, excerpt(source or target or b""))
    value = source
    try:
        text = source.decode()
        value = target
        translation = target.decode()
        value = label or b""
        return Record(number, text, translation, None if label is None else label.decode())
    except UnicodeDecodeError:
        return Reject(0, number, Reason.NOT_UTF8, excerpt(value))
