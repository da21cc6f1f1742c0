"""The sentence-transformers reference: what it returns, what it is known by, what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fairseq2.utils.structured import StandardValueConverter, StructureError

from fairseq2_jest.embedding.backend import TorchBackend
from fairseq2_jest.embedding.cached import CachedReference
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.model_files import locate_model
from fairseq2_jest.embedding.reference import (
    SentenceTransformerConfig,
    SentenceTransformerEncoder,
)

WORDS = ["the", "cat", "sees", "a", "dog", "die", "katze", "sieht", "einen", "hund"]


def save_model(folder: Path, *, seed: int = 0, weights: torch.Tensor | None = None) -> Path:
    """Save a word-level StaticEmbedding over ``WORDS``."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(
        models.WordLevel({w: i for i, w in enumerate(["[UNK]", *WORDS])}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if weights is None:
        generator = torch.Generator().manual_seed(seed)
        weights = torch.randn(len(WORDS) + 1, 6, generator=generator)
    module = StaticEmbedding(tokenizer, embedding_weights=weights)
    SentenceTransformer(modules=[module], device="cpu").save(str(folder), create_model_card=False)
    return folder


def load(folder: Path, **changes: Any) -> SentenceTransformerEncoder:
    config = SentenceTransformerConfig(model=str(folder), device="cpu", **changes)
    return SentenceTransformerEncoder(config)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SentenceTransformerEncoder:
    return load(folder)


def test_embeddings_are_the_models_mean_and_of_length_one(
    encoder: SentenceTransformerEncoder,
) -> None:
    table = torch.randn(len(WORDS) + 1, 6, generator=torch.Generator().manual_seed(0)).numpy()
    expected = table[[1, 2, 3]].mean(axis=0)
    vectors = encoder.encode(["the cat sees", "hund"])
    assert encoder.dim == 6
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[0], expected / np.linalg.norm(expected), rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert encoder.encode([]).shape == (0, 6)


def test_result_is_an_ordinary_tensor(encoder: SentenceTransformerEncoder) -> None:
    tensor = torch.from_numpy(encoder.encode(["the cat"]))
    tensor.requires_grad_()
    (gradient,) = torch.autograd.grad(tensor.sum(), tensor)
    assert gradient.eq(1).all()


def test_batch_mates_do_not_change_a_static_embedding(encoder: SentenceTransformerEncoder) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(200)]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("empty", ["", "  \t"])
def test_empty_text_is_refused(encoder: SentenceTransformerEncoder, empty: str) -> None:
    with pytest.raises(EmbeddingError, match="Text 1 of 2 is empty"):
        encoder.encode(["the", empty])


def test_output_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    weights = torch.ones(len(WORDS) + 1, 6)
    weights[2, 3] = torch.nan  # "cat"
    encoder = load(save_model(tmp_path / "m", weights=weights))
    with pytest.raises(EmbeddingError, match=r"not finite for text 1 of 2: set `dtype`"):
        encoder.encode(["dog", "the cat"])


def test_text_without_tokens_is_similar_to_nothing(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "m"
    save_model(path)
    tokenizer = json.loads((path / "tokenizer.json").read_text())
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"String": "~"}, "content": ""}
    (path / "tokenizer.json").write_text(json.dumps(tokenizer))
    vectors = load(path).encode(["the", "~~"])
    assert not vectors[1].any()
    assert vectors[0].any()


def test_identity_follows_the_content_of_a_folder(tmp_path: Path, folder: Path) -> None:
    same = load(save_model(tmp_path / "same")).identity
    other = load(save_model(tmp_path / "other", seed=1)).identity
    assert same == load(folder).identity
    assert other != same
    assert {key for key in same if same[key] != other[key]} == {"model"}
    assert load(folder, dtype="bfloat16").identity != same


def test_low_precision_still_gives_unit_float32(folder: Path) -> None:
    encoder = load(folder, dtype="bfloat16")
    vectors = encoder.encode(["the cat", "hund"])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-6)
    assert not np.array_equal(vectors, load(folder).encode(["the cat", "hund"]))


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    path = save_model(tmp_path / "m")
    weights = path / "model.safetensors"
    pickled = weights.with_name("pytorch_model.bin")
    torch.save({"embedding.weight": torch.ones(11, 6)}, pickled)
    load(path)
    weights.unlink()
    with pytest.raises(EmbeddingError, match="holds no safetensors weights"):
        load(path)
    (path / "1_Dense").mkdir()
    torch.save({}, path / "1_Dense" / "model.safetensors")
    with pytest.raises(EmbeddingError, match=r"holds pytorch_model\.bin without"):
        load(path)


def test_a_model_with_its_own_code_is_refused_and_not_run(tmp_path: Path) -> None:
    path = save_model(tmp_path / "m")
    (path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Evil: pass\n")
    modules = json.loads((path / "modules.json").read_text())
    modules[0]["type"] = "evil.Evil"
    (path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EmbeddingError, match=r"needs code of its own \(evil\.Evil\)"):
        load(path)
    assert not (tmp_path / "ran").exists()


def test_damaged_files_give_one_sentence(tmp_path: Path) -> None:
    path = save_model(tmp_path / "m")
    weights = path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:50])
    with pytest.raises(EmbeddingError, match="cannot be loaded from") as info:
        load(path)
    assert "\n" not in str(info.value)
    (path / "modules.json").write_text("{")
    with pytest.raises(EmbeddingError, match=r"modules\.json .* is damaged"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"model": "./no/such"}, "is not a folder"),
        ({"model": "nobody/no-such-model"}, "not in the local Hugging Face cache"),
        ({"model": "a/b/c"}, "neither a folder nor a model name"),
        ({"quantization": "4bit", "device": "cpu"}, "needs a CUDA GPU"),
        ({"quantization": "8bit", "device": "cpu"}, "needs a CUDA GPU"),
    ],
)
def test_what_is_not_there_gives_one_sentence(
    changes: dict[str, Any], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(EmbeddingError, match=match) as info:
        SentenceTransformerEncoder(SentenceTransformerConfig(**changes))
    assert "\n" not in str(info.value)


def test_revision_of_a_folder_is_refused(folder: Path) -> None:
    with pytest.raises(EmbeddingError, match="remove it"):
        load(folder, revision="main")


def test_config_is_structured_and_validated_by_fairseq2() -> None:
    converter = StandardValueConverter()
    structured = converter.structure(
        {"model": "x/y", "dtype": "float16", "batch_size": 8, "quantization": "4bit"},
        SentenceTransformerConfig,
    )
    assert structured == SentenceTransformerConfig(
        model="x/y", dtype="float16", batch_size=8, quantization="4bit"
    )
    with pytest.raises(StructureError):
        converter.structure({"dtype": "int8"}, SentenceTransformerConfig)
    assert not SentenceTransformerConfig().validate().has_error()
    bad = SentenceTransformerConfig(model=" ", device="gpu7", batch_size=0).validate()
    assert len(bad.errors) == 3


def test_importing_is_cheap() -> None:
    code = (
        "import sys, fairseq2_jest.embedding.reference, fairseq2_jest.embedding.builtin_reference;"
        "assert 'sentence_transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


class Corpus:
    """Rows of random words; counts what is asked of it."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.sides = [
            [" ".join(rng.choice(WORDS, rng.integers(1, 9))) for _ in range(50)] for _ in range(2)
        ]
        self.asked: list[int] = []

    def texts(self, rows: np.ndarray) -> tuple[list[str], list[str]]:
        self.asked += rows.tolist()
        source, target = self.sides
        return [source[i] for i in rows], [target[i] for i in rows]


@pytest.fixture
def corpus() -> Iterator[Corpus]:
    yield Corpus()


def open_cached(
    encoder: SentenceTransformerEncoder, corpus: Corpus, folder: Path
) -> CachedReference:
    return CachedReference.open(encoder, corpus, corpus_digest="d", num_rows=50, folder=folder)


def test_cached_embeddings_are_the_encoders(
    encoder: SentenceTransformerEncoder, corpus: Corpus, tmp_path: Path
) -> None:
    rows = np.array([7, 3, 7, 49], dtype=np.int64)
    source, target = open_cached(encoder, corpus, tmp_path).embed(rows)
    for got, texts in zip((source, target), corpus.texts(rows), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, encoder.encode(texts), atol=1e-3)
        np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, rtol=1e-6)
    np.testing.assert_array_equal(source[0], source[2])


def test_fresh_and_stored_are_the_same_bits_in_any_company(
    encoder: SentenceTransformerEncoder, corpus: Corpus, tmp_path: Path
) -> None:
    every = np.arange(50, dtype=np.int64)
    fresh = open_cached(encoder, corpus, tmp_path / "a").embed(every)
    stored = open_cached(encoder, corpus, tmp_path / "a").embed(every[::-1].copy())
    piecewise = open_cached(encoder, corpus, tmp_path / "b")
    pieces = [piecewise.embed(every[i : i + 3]) for i in range(0, 50, 3)]
    for side in (0, 1):
        np.testing.assert_array_equal(fresh[side], stored[side][::-1])
        np.testing.assert_array_equal(fresh[side], np.concatenate([p[side] for p in pieces]))


def test_only_missing_rows_are_encoded(
    encoder: SentenceTransformerEncoder, corpus: Corpus, tmp_path: Path
) -> None:
    cached = open_cached(encoder, corpus, tmp_path)
    cached.embed(np.array([4, 4, 9], dtype=np.int64))
    assert corpus.asked == [4, 9]
    cached.embed(np.array([9, 1], dtype=np.int64))
    open_cached(encoder, corpus, tmp_path).embed(np.array([1, 4], dtype=np.int64))
    assert corpus.asked == [4, 9, 1]


def test_one_damaged_side_is_made_again(
    encoder: SentenceTransformerEncoder, corpus: Corpus, tmp_path: Path
) -> None:
    rows = np.array([2, 5], dtype=np.int64)
    before = open_cached(encoder, corpus, tmp_path).embed(rows)
    cached = open_cached(encoder, corpus, tmp_path)
    for store in cached.stores:
        with store.file.path.open("r+b") as file:
            file.seek(8 * 5)  # the checksum of row 5, first of one side, then of the other
            file.write(b"damaged!")
        after = open_cached(encoder, corpus, tmp_path).embed(rows)
        np.testing.assert_array_equal(before, after)
    assert corpus.asked == [2, 5, 5, 5]


def test_changed_model_or_corpus_is_never_served_from_the_old_store(
    encoder: SentenceTransformerEncoder, corpus: Corpus, tmp_path: Path
) -> None:
    rows = np.array([2, 5], dtype=np.int64)
    first = open_cached(encoder, corpus, tmp_path).embed(rows)
    other_model = load(save_model(tmp_path / "other", seed=1))
    second = open_cached(other_model, corpus, tmp_path).embed(rows)
    assert not np.allclose(first, second)
    CachedReference.open(encoder, corpus, corpus_digest="e", num_rows=50, folder=tmp_path).embed(
        rows
    )
    assert corpus.asked == [2, 5] * 3


def test_a_model_of_which_nothing_can_be_quantised_is_told(folder: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: make setup")

    with pytest.raises(EmbeddingError, match="it has no transformer for `quantization: 8bit`; set"):
        TorchBackend("cpu", "float16", "8bit").load(locate_model(str(folder), None))
