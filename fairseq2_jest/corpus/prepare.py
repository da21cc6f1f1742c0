"""From a corpus's files to its prepared table in the cache folder, once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from fairseq2_jest.corpus.cleaning import Reason, normalize_text, pair_damage, text_damage
from fairseq2_jest.corpus.config import CleaningConfig, CorpusConfig
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.lines import reading
from fairseq2_jest.corpus.manifest import (
    REJECTS_NAME,
    TABLE_NAME,
    Manifest,
    file_sha256,
    json_sha256,
    read_manifest,
    write_manifest,
)
from fairseq2_jest.corpus.readers import open_reader, reader_key
from fairseq2_jest.corpus.records import Reader, Record, Reject, excerpt
from fairseq2_jest.corpus.table import TableWriter

REJECTS_HEADER = "file\tline\treason\texcerpt\n"

_VERSION = 1
"""Raised whenever the same input would give other rows."""


@dataclass(frozen=True, kw_only=True)
class PreparedCorpus:
    """A table that was checked against its manifest."""

    folder: Path
    manifest: Manifest

    summary: str = ""
    """What was kept and rejected, and why, in one sentence."""

    @property
    def table(self) -> Path:
        return self.folder / TABLE_NAME


def prepare_corpus(config: CorpusConfig, cleaning: CleaningConfig, root: Path) -> PreparedCorpus:
    """Return the prepared table of ``config``, writing it if it is not there or is damaged.

    The table lies in ``root/corpora/<digest>``, with ``manifest.json`` and ``rejects.tsv`` (one
    line a rejected line: file, line, reason, excerpt) beside it. Any number of processes may
    prepare the same corpus at once.

    :raises CorpusError: If the corpus cannot be read, is empty, or has too many rejects.
    """
    reader = open_reader(config)
    return prepare_lines(
        reader,
        lambda record: _clean(record, reader, cleaning),
        root,
        key=reader_key(config, reader) | {"cleaning": cleaning_key(cleaning)},
        direction=config.direction,
        max_reject_share=cleaning.max_reject_share,
    )


Clean = Callable[[Record], "Record | Reject"]
"""Turns a line that was read into one to keep, or says why it is rejected."""


def cleaning_key(cleaning: Any) -> dict[str, object]:
    """Return what of a dataclass of cleaning rules decides which lines are kept."""
    return {k: v for k, v in asdict(cleaning).items() if k != "max_reject_share"}


def prepare_lines(
    reader: Reader,
    clean: Clean,
    root: Path,
    *,
    key: Mapping[str, object],
    direction: str,
    max_reject_share: float,
) -> PreparedCorpus:
    """Return the prepared table of what ``clean`` leaves of ``reader``; see :func:`prepare_corpus`.

    :param key: What decides the rows beside the bytes of the files, ready for JSON.
    :param direction: For the manifest.

    :raises CorpusError: If the lines cannot be read, there are none, or too many are rejected.
    """
    from fairseq2.logging import log

    stamps = _stamps(reader)
    content = _content(reader)
    digest = json_sha256({**key, "version": _VERSION, "content": content})
    folder = root / "corpora" / digest

    prepared = _load(folder)
    if prepared is None:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _lock(folder.with_name(f"{digest}.lock")) as is_alone:
                if is_alone:
                    # What a killed process left behind.
                    for path in folder.parent.glob(f"{digest}.partial-*"):
                        shutil.rmtree(path, ignore_errors=True)
                prepared = _load(folder)
                if prepared is None:
                    prepared = _prepare(direction, clean, reader, content, stamps, folder)
        except OSError as ex:
            raise CorpusError(
                f"The cache folder {root} cannot be written ({ex}): make room there, or name "
                "another in `cache_dir` or FAIRSEQ2_JEST_CACHE_DIR."
            ) from ex
    _check_rejects(prepared, reader, max_reject_share)
    prepared = replace(prepared, summary=_summary(prepared, reader))
    log.info("{}", prepared.summary)
    return prepared


def _prepare(
    direction: str,
    clean: Clean,
    reader: Reader,
    content: list[object],
    stamps: list[tuple[int, int]],
    folder: Path,
) -> PreparedCorpus:
    from fairseq2.logging import log

    log.info("Preparing {}.", " and ".join(reader.names))
    reader.check()
    partial = folder.with_name(f"{folder.name}.partial-{uuid4().hex}")
    partial.mkdir()
    try:
        counts = _Counts()
        with (
            TableWriter(partial / TABLE_NAME) as table,
            open(partial / REJECTS_NAME, "w", encoding="utf-8", newline="\n") as rejects,
        ):
            rejects.write(REJECTS_HEADER)
            for item in reader.read():
                result = item if isinstance(item, Reject) else clean(item)
                counts.add(result)
                if isinstance(result, Reject):
                    rejects.write(reject_line(result, reader.names))
                else:
                    table.write(*_row(result))
        if _stamps(reader) != stamps:
            raise CorpusError(
                f"{' or '.join(reader.names)} was changed while it was read; start again once it is"
                " complete."
            )
        manifest = Manifest(
            digest=folder.name,
            content_digest=json_sha256(content),
            direction=direction,
            names=list(reader.names),
            num_read=counts.num_read,
            num_kept=counts.num_read - counts.rejected.total(),
            rejected=dict(sorted(counts.rejected.items())),
            first_rejects=counts.first_rejects,
            labels=dict(sorted(counts.labels.items())),
            table_size=(partial / TABLE_NAME).stat().st_size,
            table_sha256=file_sha256(partial / TABLE_NAME),
        )
        write_manifest(partial, manifest)
        prepared = _publish(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return prepared


def _clean(record: Record, reader: Reader, config: CleaningConfig) -> Record | Reject:
    for text, side in ((record.source, 0), (record.target, 1), (record.label or "", 0)):
        if damage := text_damage(text):
            return Reject(reader.sides[side], record.line, damage, excerpt(text))
    source, target = normalize_text(record.source), normalize_text(record.target)
    if reason := pair_damage(source, target, config):
        at_target = reason in (
            Reason.EMPTY_TARGET,
            Reason.TARGET_TOO_SHORT,
            Reason.TARGET_TOO_LONG,
        )
        shown = target if at_target else source
        return Reject(reader.sides[at_target], record.line, reason, excerpt(shown))
    label = normalize_text(record.label) if record.label else None
    return Record(record.line, source, target, label or None)


def reject_line(reject: Reject, names: Sequence[str]) -> str:
    """Return the line of ``rejects.tsv`` for ``reject``, given what the files are called."""
    name = normalize_text(names[reject.file])
    return "\t".join((name, str(reject.line), reject.reason.value, reject.excerpt)) + "\n"


def _row(record: Record) -> tuple[str, str, int, str | None]:
    return record.source, record.target, record.line, record.label


class _Counts:
    def __init__(self) -> None:
        self.num_read = 0
        self.rejected: Counter[str] = Counter()
        self.first_rejects: dict[str, list[int]] = {}
        self.labels: Counter[str] = Counter()

    def add(self, item: Record | Reject) -> None:
        self.num_read += 1
        if isinstance(item, Reject):
            reason = item.reason.value
            self.rejected[reason] += 1
            self.first_rejects.setdefault(reason, [item.file, item.line])
        elif item.label is not None:
            self.labels[item.label] += 1


def _content(reader: Reader) -> list[object]:
    if not reader.files:
        return [dict(reader.settings)]
    content: list[object] = []
    for path in reader.files:
        with reading(path):
            content.append(file_sha256(path))
    return content


def _stamps(reader: Reader) -> list[tuple[int, int]]:
    stamps = []
    for path in reader.files:
        with reading(path):
            stat = path.stat()
        stamps.append((stat.st_size, stat.st_mtime_ns))
    return stamps


def _load(folder: Path) -> PreparedCorpus | None:
    try:
        return PreparedCorpus(folder=folder, manifest=read_manifest(folder))
    except FileNotFoundError:
        if not folder.exists():
            return None
        problem = "a file is missing"
    except (OSError, ValueError) as ex:
        problem = str(ex)

    from fairseq2.logging import log

    log.warning("The prepared corpus {} is damaged and made again: {}.", folder, problem)
    return None


def _publish(partial: Path, folder: Path) -> PreparedCorpus:
    """Rename ``partial`` to ``folder``, unless another process has put a good table there."""
    for _ in range(10):
        try:
            os.rename(partial, folder)
        except OSError:
            # A folder that is not empty: good, or damaged and to be moved out of the way.
            if (prepared := _load(folder)) is not None:
                return prepared
            damaged = folder.with_name(f"{folder.name}.partial-{uuid4().hex}")
            try:
                os.rename(folder, damaged)
            except FileNotFoundError:
                continue
            shutil.rmtree(damaged, ignore_errors=True)
        else:
            return PreparedCorpus(folder=folder, manifest=read_manifest(folder))
    raise OSError(f"{folder} cannot be replaced")


@contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Keep the ranks of one machine from all doing the same work; yield whether that worked.

    Only time rests on it: where a file system has no locks, the rename decides.
    """
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            yield False
        else:
            yield True


def _summary(prepared: PreparedCorpus, reader: Reader) -> str:
    manifest = prepared.manifest
    text = (
        f"{' and '.join(reader.names)}: of {manifest.num_read} lines {manifest.num_kept} kept, "
        f"{manifest.num_rejected} rejected"
    )
    if manifest.num_rejected:
        text += f" ({_reasons(manifest, reader)}; all in {prepared.folder / REJECTS_NAME})"
    return text + "."


def _reasons(manifest: Manifest, reader: Reader) -> str:
    parts = []
    for reason, count in sorted(manifest.rejected.items(), key=lambda x: -x[1]):
        file, line = manifest.first_rejects[reason]
        parts.append(f"{count} {reason}, first at {reader.names[file]}:{line}")
    return "; ".join(parts)


def _check_rejects(prepared: PreparedCorpus, reader: Reader, max_share: float) -> None:
    manifest = prepared.manifest
    names = " and ".join(reader.names)
    if not manifest.num_read:
        raise CorpusError(f"{names} is empty; name a corpus that has at least one pair.")
    share = manifest.num_rejected / manifest.num_read
    if manifest.num_kept and share <= max_share:
        return
    mend = "mend these lines or raise `max_reject_share`"
    if Reason.COLUMNS.value in manifest.rejected:
        mend += " (`num_columns` says how many columns a line has)"
    raise CorpusError(
        f"Of {manifest.num_read} lines of {names}, {manifest.num_rejected} ({share:.1%}) are "
        f"rejected, and `max_reject_share` is {max_share:.1%}: "
        f"{_reasons(manifest, reader)}; {mend}; all rejects are in "
        f"{prepared.folder / REJECTS_NAME}."
    )
