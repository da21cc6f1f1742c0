"""What is written beside a prepared table, to check it and to say what became of each line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from fairseq2_jest.files import write_json

TABLE_NAME = "pairs.arrow"
REJECTS_NAME = "rejects.tsv"
MANIFEST_NAME = "manifest.json"

_BLOCK_SIZE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The record of one preparation."""

    digest: str
    """Address of the table: hash of the files' bytes and of every setting that decides a row."""

    content_digest: str
    """Hash of the files' bytes alone (of the generator's config for the built-in corpus)."""

    direction: str

    names: list[str]
    """The files as they were called when the table was prepared."""

    num_read: int
    num_kept: int

    rejected: dict[str, int]
    """How many lines were rejected, by reason; with ``num_kept`` they add up to ``num_read``."""

    first_rejects: dict[str, list[int]]
    """Where each reason was met first: index into ``names``, line."""

    labels: dict[str, int]
    """How many kept pairs carry each label; pairs without one are not counted."""

    table_size: int
    """Of the table's file, in bytes."""

    table_sha256: str

    @property
    def num_rejected(self) -> int:
        return sum(self.rejected.values())


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest`` into ``folder``."""
    write_json(folder / MANIFEST_NAME, asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in ``folder`` and check the table against it, byte for byte.

    :raises OSError: If a file is missing.
    :raises ValueError: If the manifest or the table is damaged.
    """
    values = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    try:
        manifest = Manifest(**values)
    except TypeError as ex:
        raise ValueError(f"its manifest is not one ({ex})") from None
    table = folder / TABLE_NAME
    if table.stat().st_size != manifest.table_size:
        raise ValueError(f"{TABLE_NAME} has not its size")
    if file_sha256(table) != manifest.table_sha256:
        raise ValueError(f"{TABLE_NAME} has not its checksum")
    return manifest


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of the bytes of ``path``, in hex."""
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    return digest.hexdigest()


def json_sha256(value: object) -> str:
    """Return the SHA-256 of ``value`` as canonical JSON, in hex."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_SIZE):
            yield block
