from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fairseq2_jest.corpus.builtin.config import BuiltinConfig
from fairseq2_jest.corpus.config import CorpusConfig, ParallelTextConfig
from fairseq2_jest.corpus.dataset import Corpus, open_parallel_text
from fairseq2_jest.corpus.errors import CorpusError
from fairseq2_jest.corpus.pair import Direction, Pair, parse_direction
from fairseq2_jest.corpus.sampling import CorpusSampler

Write = Callable[[str, bytes], Path]

ENG_DEU = Direction("eng_Latn", "deu_Latn")
DEU_ENG = Direction("deu_Latn", "eng_Latn")


@pytest.fixture
def config(write: Write, tmp_path: Path) -> ParallelTextConfig:
    def rows(prefix: str, n: int, label: str = "") -> bytes:
        return "".join(
            f"{prefix} source {i}\t{prefix} target {i}{label}\n" for i in range(n)
        ).encode()

    return ParallelTextConfig(
        corpora=[
            CorpusConfig(
                split="train", direction="eng_Latn-deu_Latn", path=write("a.tsv", rows("a", 30))
            ),
            CorpusConfig(
                split="train",
                direction="deu_Latn-eng_Latn",
                path=write("b.tsv", b"\tbad\n" + rows("b", 20, "\tnoise")),
                label_column=2,
                num_columns=3,
                weight=2.0,
                synthetic=True,
            ),
            CorpusConfig(
                split="train",
                direction="eng_Latn-deu_Latn",
                path=write("c.tsv.gz", rows("c", 10, "\tclean")),
                label_column=2,
            ),
            CorpusConfig(
                split="valid", direction="eng_Latn-deu_Latn", path=write("v.tsv", rows("v", 5))
            ),
        ],
        cache_dir=tmp_path / "cache",
    )


@pytest.fixture
def corpus(config: ParallelTextConfig) -> Corpus:
    return open_parallel_text(config).open("train")


def test_splits(config: ParallelTextConfig) -> None:
    data = open_parallel_text(config)

    assert data.splits() == {"train", "valid"}
    assert len(data.open("valid")) == 5
    with pytest.raises(CorpusError, match="no split 'test'; name one of 'train', 'valid'"):
        data.open("test")


def test_a_split_is_its_corpora_one_after_the_other(corpus: Corpus) -> None:
    assert len(corpus) == 60
    assert corpus.sizes == [30, 20, 10]
    assert corpus.weights == [1.0, 2.0, 1.0]
    assert [p.first_row for p in corpus.parts] == [0, 30, 50]
    assert corpus.directions == (ENG_DEU, DEU_ENG)
    assert corpus.is_labelled


def test_rows_come_in_the_order_they_are_asked_for(corpus: Corpus) -> None:
    rows = np.array([59, 0, 30, 0, 49, 29, 50])
    sources, targets = corpus.texts(rows)

    expected = ["c {} 9", "a {} 0", "b {} 0", "a {} 0", "b {} 19", "a {} 29", "c {} 0"]
    assert sources == [e.format("source") for e in expected]
    assert targets == [e.format("target") for e in expected]
    assert corpus.labels(rows) == ["clean", None, "noise", None, "noise", None, "clean"]
    assert corpus.direction_index(rows).tolist() == [0, 0, 1, 0, 1, 0, 0]
    assert corpus.texts(np.array([], dtype=np.int64)) == ([], [])


def test_a_pair_knows_its_place_in_its_own_file(corpus: Corpus, config: ParallelTextConfig) -> None:
    pair = corpus.pair(33)

    # The first line of its file is rejected, so its fourth row is in line 5.
    assert pair == Pair(
        f"{corpus.parts[1].manifest.content_digest[:16]}:5",
        DEU_ENG,
        "b source 3",
        "b target 3",
        True,
        "noise",
    )
    alone = ParallelTextConfig(corpora=config.corpora[1:2], cache_dir=config.cache_dir)
    assert open_parallel_text(alone).open("train").pair(3) == pair


def test_ids_and_what_is_synthetic_are_those_of_the_pairs(corpus: Corpus) -> None:
    rows = np.array([55, 2, 31, 31, 0])

    pairs = [corpus.pair(row) for row in rows.tolist()]

    assert corpus.ids(rows) == [pair.id for pair in pairs]
    assert corpus.synthetic(rows).tolist() == [pair.synthetic for pair in pairs]
    assert corpus.synthetic(rows).tolist() == [False, False, True, True, False]


@pytest.mark.parametrize("row", [-1, 60])
def test_a_row_out_of_range_is_refused(row: int, corpus: Corpus) -> None:
    with pytest.raises(IndexError):
        corpus.texts(np.array([row]))


def test_digest_follows_the_content(config: ParallelTextConfig, write: Write) -> None:
    first = open_parallel_text(config).open("train")
    again = open_parallel_text(config).open("train")
    swapped = ParallelTextConfig(corpora=config.corpora[::-1], cache_dir=config.cache_dir)
    other = open_parallel_text(swapped).open("train")

    assert first.digest == again.digest != other.digest
    write("a.tsv", b"another source\tanother target\n")
    assert open_parallel_text(config).open("train").digest != first.digest


def test_sampler_and_corpus_fit(corpus: Corpus) -> None:
    rows = CorpusSampler(corpus.sizes, corpus.weights, 0, max_epochs=1).next_rows(1000)

    names = Counter(s[0] for s in corpus.texts(rows)[0])
    assert names == {"a": 30, "b": 40, "c": 10}


def test_cache_folder_of_the_environment(
    config: ParallelTextConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path / "elsewhere"))
    open_parallel_text(ParallelTextConfig(corpora=config.corpora)).open("valid")

    assert list((tmp_path / "elsewhere" / "corpora").glob("*/pairs.arrow"))


def test_builtin_corpus(tmp_path: Path) -> None:
    def open_(seed: int) -> Corpus:
        builtin = BuiltinConfig(part="pool", size=200, seed=seed, noise_share=0.5)
        config = CorpusConfig(split="train", direction="eng_Latn-deu_Latn", builtin=builtin)
        data = ParallelTextConfig(corpora=[config], cache_dir=tmp_path)
        return open_parallel_text(data).open("train")

    corpus = open_(0)
    labels = Counter(corpus.labels(np.arange(len(corpus))))
    assert labels == corpus.parts[0].manifest.labels
    assert 0.4 < labels["clean"] / len(corpus) < 0.6
    assert open_(0).digest == corpus.digest != open_(1).digest


@pytest.mark.parametrize("text", ["", "en", "en-", "-de", "en-de-fr", "en de", "en>de", "é-de"])
def test_what_is_no_direction(text: str) -> None:
    with pytest.raises(CorpusError, match="is not a direction"):
        parse_direction(text)
    assert str(parse_direction("en_XX-zho_Hans")) == "en_XX-zho_Hans"
