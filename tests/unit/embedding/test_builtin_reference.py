"""The reference of the built-in corpus: what it is for is telling translations from others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq2.runtime.dependency import DependencyContainer

from fairseq2_jest.corpus.builtin import BuiltinConfig, generate
from fairseq2_jest.embedding.builtin_reference import (
    BuiltinReferenceConfig,
    ReferenceTraining,
    create_builtin_reference_encoder,
    ensure_builtin_reference,
)
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.reference import ReferenceEncoder

SMALL = ReferenceTraining(size=600, epochs=1, batch_size=64, dim=16)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> ReferenceEncoder:
    """The default reference, trained into an empty cache through its component."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        return create_builtin_reference_encoder(DependencyContainer(), BuiltinReferenceConfig())


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_misaligned_pairs_are_told_from_clean_ones(encoder: ReferenceEncoder) -> None:
    """The area under the ROC curve of the cosine, on pairs that it has not seen."""
    pairs = list(generate(BuiltinConfig(part="valid", size=500)))
    source = encoder.encode([pair.source for pair in pairs])
    target = encoder.encode([pair.target for pair in pairs])
    clean = (source * target).sum(axis=1)
    misaligned = (source * np.roll(target, 1, axis=0)).sum(axis=1)
    auc = (clean[:, None] > misaligned[None, :]).mean()
    assert auc >= 0.95


def test_it_can_be_trained_within_a_recipe_that_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path / "a"))
    usual = ensure_builtin_reference(SMALL)
    monkeypatch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path / "b"))
    with torch.inference_mode():
        assert content(ensure_builtin_reference(SMALL)) == content(usual)


def test_training_is_deterministic_and_settings_have_their_own_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    for name in ("a", "b"):
        monkeypatch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path / name))
        made.append(ensure_builtin_reference(SMALL))
    assert content(made[0]) == content(made[1])
    assert made[0].relative_to(tmp_path / "a") == made[1].relative_to(tmp_path / "b")
    assert not [path for path in content(made[0]) if path.endswith((".bin", ".pt", ".pkl"))]

    other = ReferenceTraining(size=600, epochs=1, batch_size=64, dim=16, seed=2)
    changed = ensure_builtin_reference(other)
    assert changed != made[1]
    assert content(changed)["model.safetensors"] != content(made[1])["model.safetensors"]


def test_it_is_trained_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path))
    folder = ensure_builtin_reference(SMALL)
    weights = folder / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert ensure_builtin_reference(SMALL) == folder
    assert weights.stat().st_mtime_ns == before


def test_a_cache_that_cannot_be_written_gives_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("FAIRSEQ2_JEST_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(EmbeddingError, match="FAIRSEQ2_JEST_CACHE_DIR"):
        ensure_builtin_reference(SMALL)
