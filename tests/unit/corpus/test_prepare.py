"""Addressing, limits, damage and company of the prepared table."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairseq2_jest.corpus import prepare as module
from fairseq2_jest.corpus.config import CleaningConfig, CorpusConfig
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.prepare import PreparedCorpus, prepare_corpus
from fairseq2_jest.corpus.records import Record
from fairseq2_jest.corpus.table import CorpusTable

Write = Callable[[str, bytes], Path]
Prepare = Callable[..., PreparedCorpus]

ROWS = b"".join(b"a house %d\tein Haus %d\n" % (i, i) for i in range(50))


def test_same_content_elsewhere_is_the_same_table(write: Write, prepare: Prepare) -> None:
    first = prepare(path=write("a.tsv", ROWS))
    stamp = first.table.stat().st_mtime_ns
    second = prepare(path=write("folder/b.tsv", ROWS), split="valid", weight=2.0)

    assert second.folder == first.folder
    assert second.table.stat().st_mtime_ns == stamp


def test_changed_content_or_setting_is_another_table(write: Write, prepare: Prepare) -> None:
    path = write("a.tsv", ROWS)
    cleaning = CleaningConfig(max_reject_share=1.0, max_chars=100)
    prepared = [
        prepare(path=path),
        prepare(path=path, source_column=1, target_column=0),
        prepare(path=path, direction="deu_Latn-eng_Latn"),
        prepare(cleaning, path=path),
        prepare(path=write("a.tsv", ROWS + b"x\ty\n")),
    ]

    assert len({p.folder for p in prepared}) == 5
    assert [p.manifest.num_read for p in prepared] == [50, 50, 50, 50, 51]


def test_the_limit_on_rejects_is_no_part_of_the_address(write: Write, prepare: Prepare) -> None:
    path = write("a.tsv", ROWS + b"x\t\n" * 25)
    prepared = prepare(CleaningConfig(max_reject_share=0.5), path=path)

    for _ in range(2):
        with pytest.raises(CorpusError) as caught:
            prepare(CleaningConfig(max_reject_share=0.3), path=path)
        message = str(caught.value)
        assert "Of 75 lines" in message
        assert f"25 empty target, first at {path}:51" in message
        assert "25 (33.3%)" in message
        assert str(prepared.folder / "rejects.tsv") in message
        assert (prepared.folder / "rejects.tsv").read_text().count("\n") == 26


def test_a_wrong_number_of_columns_names_its_setting(write: Write, prepare: Prepare) -> None:
    path = write("a.tsv", b"a\tb\t0.5\n" * 20)

    with pytest.raises(CorpusError, match="`num_columns` says how many"):
        prepare(path=path)
    assert prepare(path=path, num_columns=3).manifest.num_kept == 20


@pytest.mark.parametrize(("extra", "suffix"), [(1, ""), (-1, ""), (3, ".gz"), (-3, ".zst")])
def test_unequal_aligned_files_are_refused_before_anything_is_written(
    extra: int, suffix: str, tmp_path: Path, write: Write, prepare: Prepare
) -> None:
    source = write(f"a.en{suffix}", b"yes\n" * 70)
    target = write(f"a.de{suffix}", b"ja\n" * (70 + extra - 1) + b"ja")

    with pytest.raises(CorpusError) as caught:
        prepare(source=source, target=target)
    assert f"{source} has 70 lines, but {target} has {70 + extra}" in str(caught.value)
    assert [p.suffix for p in (tmp_path / "cache" / "corpora").iterdir()] == [".lock"]


def _cut(folder: Path) -> None:
    table = folder / "pairs.arrow"
    os.truncate(table, table.stat().st_size - 100)


def _flip(folder: Path) -> None:
    data = bytearray((folder / "pairs.arrow").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "pairs.arrow").write_bytes(data)


def _edit_manifest(folder: Path) -> None:
    values = json.loads((folder / "manifest.json").read_text())
    del values["num_kept"]
    (folder / "manifest.json").write_text(json.dumps(values))


DAMAGES: list[Callable[[Path], object]] = [
    _cut,
    _flip,
    _edit_manifest,
    lambda folder: (folder / "pairs.arrow").unlink(),
    lambda folder: (folder / "manifest.json").unlink(),
    lambda folder: (folder / "manifest.json").write_text("{"),
    lambda folder: (folder / "manifest.json").write_text("[]"),
    lambda folder: (folder / "manifest.json").write_bytes(b"\xff"),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_table_is_made_again(
    damage: Callable[[Path], object], write: Write, prepare: Prepare
) -> None:
    path = write("a.tsv", ROWS)
    first = prepare(path=path)
    good = first.table.read_bytes()
    damage(first.folder)
    second = prepare(path=path)

    assert second == first
    assert second.table.read_bytes() == good
    assert [p for p in first.folder.parent.iterdir() if ".partial-" in p.name] == []


def test_what_a_killed_process_left_is_not_used(write: Write, prepare: Prepare) -> None:
    path = write("a.tsv", ROWS)
    first = prepare(path=path)
    left = first.folder.rename(first.folder.with_name(f"{first.folder.name}.partial-dead"))
    _cut(left)
    second = prepare(path=path)

    assert second.folder == first.folder
    assert not left.exists()
    assert CorpusTable(second.table).texts(np.array([49])) == (["a house 49"], ["ein Haus 49"])


def test_a_cache_that_cannot_be_written_is_named(write: Write, tmp_path: Path) -> None:
    file = write("file", b"")
    config = CorpusConfig(split="train", direction="eng_Latn-deu_Latn", path=write("a.tsv", ROWS))

    with pytest.raises(CorpusError, match=r"cache folder .*`cache_dir`"):
        prepare_corpus(config, CleaningConfig(), file / "cache")


def test_a_file_that_changes_while_it_is_read(
    write: Write, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.tsv", ROWS)

    def clean_and_append(record: Record, *others: Any) -> object:
        if record.line == 30:
            with open(path, "ab") as file:
                file.write(b"more\tmehr\n")
        return clean(record, *others)

    clean = module._clean
    monkeypatch.setattr(module, "_clean", clean_and_append)
    with pytest.raises(CorpusError, match="was changed while it was read"):
        prepare(path=path)


def _prepare_with_others(
    path: Path, root: Path, barrier: Barrier, results: Queue[tuple[str, int]]
) -> None:
    config = CorpusConfig(split="train", direction="eng_Latn-deu_Latn", path=path)
    barrier.wait()
    prepared = prepare_corpus(config, CleaningConfig(), root)
    results.put((str(prepared.folder), len(CorpusTable(prepared.table))))


@pytest.mark.parametrize("locks", [True, False])
def test_concurrent_preparation(
    locks: bool, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("a.tsv", ROWS * 200)
    if not locks:
        import fcntl

        def no_locks(*args: object) -> None:
            raise OSError("no locks available")

        monkeypatch.setattr(fcntl, "flock", no_locks)
    fork = multiprocessing.get_context("fork")
    barrier, results = fork.Barrier(4), fork.Queue()
    workers = [
        fork.Process(target=_prepare_with_others, args=(path, tmp_path / "cache", barrier, results))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()

    assert len(set(found)) == 1
    assert found[0][1] == 10_000
    folders = [p for p in (tmp_path / "cache" / "corpora").iterdir() if p.is_dir()]
    assert [str(f) for f in folders] == [found[0][0]]


_MEMORY_PROGRAM = """
import resource, sys
from pathlib import Path
from fairseq2_jest.corpus import prepare as module
from fairseq2_jest.corpus.config import CleaningConfig, CorpusConfig
from fairseq2_jest.corpus.prepare import prepare_corpus
from fairseq2_jest.corpus.records import Record
from fairseq2_jest.corpus.table import CorpusTable

def run(name):
    config = CorpusConfig(split="s", direction="eng_Latn-deu_Latn", path=Path(name))
    prepared = prepare_corpus(config, CleaningConfig(), Path(sys.argv[3]))
    return prepared.manifest.num_kept

run(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
kept = run(sys.argv[2])
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_memory_does_not_grow_with_the_corpus(write: Write, tmp_path: Path) -> None:
    small, large = 40_000, 300_000
    files = []
    for count in (small, large):
        row = "{0} an English sentence of usual length, number {0}\t{0} ein deutscher Satz dazu\n"
        data = "".join(row.format(i) for i in range(count)).encode()
        files.append(write(f"{count}.tsv.zst", data))
    assert len(data) > 25 << 20

    output = subprocess.run(
        [sys.executable, "-c", _MEMORY_PROGRAM, *map(str, files), str(tmp_path / "cache")],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    kept, growth_kib = map(int, output.split()[-2:])
    assert kept == large
    # More than seven times the pairs, hardly more memory: far below the corpus's own 25 MiB.
    assert growth_kib < 8 << 10
