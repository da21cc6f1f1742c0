"""Curvature and seeds in pieces: what they come to, and the room that they take."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor

from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.influence.curvature import LayerCurvature, decompose
from fairseq2_jest.influence.curvature_config import (
    CurvatureConfig,
    CurvatureMethod,
    DampingConfig,
)
from fairseq2_jest.influence.factors import FactorSums
from fairseq2_jest.influence.fitting import (
    Workplace,
    fit_curvature,
    fit_seeds,
    fit_subspaces,
    is_fitted,
)
from fairseq2_jest.influence.room import curvature_room, seeds_room
from fairseq2_jest.influence.tensor_file import TensorFile
from tests.unit.influence.dense import gradient_pass, trained_model
from tests.unit.tiny import random_pairs

pytestmark = pytest.mark.usefixtures("one_thread")

PAIRS = random_pairs(8)

RUN = gradient_pass(trained_model())


def read(rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], TokenizedPairs]:
    return rows, PAIRS.take(rows.tolist())


def config_of(method: CurvatureMethod = "kfac") -> CurvatureConfig:
    return CurvatureConfig(method=method, num_pairs=8, num_shards=3)


def workplace(folder: Path) -> Workplace:
    return Workplace(folder, "one", gang=FakeGang(CPU), device=CPU)


def fit(folder: Path, method: CurvatureMethod = "kfac") -> dict[str, LayerCurvature]:
    return fit_curvature(workplace(folder), RUN, read, 8, config_of(method), seed=0)


def bytes_in(folder: Path) -> int:
    """Of tensors; beside larger layers the headers of files are nothing."""
    total = 0

    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()

            total += len(content) - 8 - int.from_bytes(content[:8], "little")

    return total


def test_layers_are_decomposed_one_at_a_time_to_the_same_bits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shards = []

    for places in ([0, 2, 4], [1, 3]):
        sums = FactorSums.zeros(RUN.layers, CPU, torch.float32)

        for batch in RUN.run(PAIRS.take(places), places, reduction="sum"):
            sums.add(batch.layers)

        shards.append(sums)

    total = FactorSums.total(RUN.layers, shards, CPU)

    expected = {
        layer.name: [
            torch.linalg.eigh(part).eigenvectors.float() for part in total.means(layer.name)
        ]
        for layer in RUN.layers
    }

    size_of_all = sum(t.nbytes for t in total.tensors.values())

    del total

    eigh, before = torch.linalg.eigh, bytes_of_doubles()

    alive: list[int] = []

    def watched(matrix: Tensor) -> object:
        # Looking through all objects takes a while.
        alive.append(bytes_of_doubles() - before if len(alive) == last else 0)

        return eigh(matrix)

    last = 2 * len(RUN.layers) - 1

    monkeypatch.setattr(torch.linalg, "eigh", watched)

    found = decompose(RUN.layers, shards, CPU)

    assert 0 < alive[last] < 0.6 * size_of_all

    for name, (input_vectors, gradient_vectors) in expected.items():
        assert torch.equal(found[name].input_vectors, input_vectors)
        assert torch.equal(found[name].gradient_vectors, gradient_vectors)


def bytes_of_doubles() -> int:
    """Of all tensors that there are."""
    return sum(
        x.nbytes for x in gc.get_objects() if isinstance(x, Tensor) and x.dtype == torch.float64
    )


def test_what_a_kill_left_beside_the_whole_is_deleted(tmp_path: Path) -> None:
    first = fit(tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["factors.safetensors"]

    TensorFile(tmp_path / "factors" / "0002.safetensors", "one").write({"a": torch.zeros(9)})

    (tmp_path / "factors" / ".0001.safetensors.0123.tmp").write_bytes(b"half")

    again = fit(tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["factors.safetensors"]

    for name, curvature in first.items():
        assert torch.equal(again[name].eigenvalues, curvature.eigenvalues)


@pytest.mark.parametrize(("method", "rank"), [("kfac", 4), ("ekfac", None)])
def test_files_take_the_room_that_is_said_beforehand(
    method: CurvatureMethod, rank: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peak, write = 0, TensorFile.write

    def watched(file: TensorFile, tensors: Mapping[str, Tensor]) -> None:
        nonlocal peak

        write(file, tensors)

        peak = max(peak, bytes_in(tmp_path))

    monkeypatch.setattr(TensorFile, "write", watched)

    assert not is_fitted(workplace(tmp_path), config_of(method))

    curvatures = fit(tmp_path, method)

    room = curvature_room(RUN.layers, config_of(method), 8)

    # What counts tokens is a few bytes.
    assert room.peak <= peak < 1.01 * room.peak
    assert room.kept == bytes_in(tmp_path)
    assert workplace(tmp_path).num_bytes() > bytes_in(tmp_path)
    assert is_fitted(workplace(tmp_path), config_of(method))

    damping, of_seeds = DampingConfig(), seeds_room(RUN.layers, config_of(method), 8, rank)

    peak = 0

    subspaces = fit_subspaces(
        workplace(tmp_path),
        RUN,
        PAIRS,
        curvatures,
        damping,
        max_discarded=0.0,
        rank=rank,
        reduction="mean",
        num_shards=3,
    )

    # Fewer, where no seed says anything about a dimension.
    assert 0.9 * of_seeds.peak < peak - room.kept < 1.01 * of_seeds.peak

    fit_seeds(workplace(tmp_path), RUN, PAIRS, curvatures, subspaces, damping, reduction="mean")

    taken = sum(
        tensor.nbytes
        for file in (tmp_path / "subspaces.safetensors", tmp_path / "seeds" / "0000.safetensors")
        for name, tensor in load_file(file).items()
        if not name.endswith(("energy", "kept"))
    )

    assert 0.8 < taken / of_seeds.kept <= 1.0
