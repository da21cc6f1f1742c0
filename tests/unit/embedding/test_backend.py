"""The backends of the sentence-transformers reference: quantised torch, and ONNX Runtime."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from benchmarks.random_bert import save_random_bert
from fairseq2_jest.embedding import model_files
from fairseq2_jest.embedding.backend import DtypeName, QuantizationName, TorchBackend
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.model_files import locate_model
from fairseq2_jest.embedding.reference import (
    SentenceTransformerConfig,
    SentenceTransformerEncoder,
    check_reference,
)

WORDS = ["the", "cat", "sees", "a", "dog", "die", "katze", "sieht", "einen", "hund"]

DIM = 12

INT8 = "onnx/model_qint8_avx512_vnni.onnx"


def texts(num: int) -> list[str]:
    """Random words, of lengths that need padding."""
    rng = np.random.default_rng(0)

    return [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(num)]


def load(folder: Path, **changes: Any) -> SentenceTransformerEncoder:
    return SentenceTransformerEncoder(SentenceTransformerConfig(model=str(folder), **changes))


def cosines(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float64]:
    """Each row of one with each of the other, around their mean: random models have a large one."""
    mean = right.mean(axis=0, dtype=np.float64)

    left, right = (
        x / np.linalg.norm(x, axis=1, keepdims=True) for x in (left - mean, right - mean)
    )

    product: NDArray[np.float64] = left @ right.T

    return product


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A transformer, pooling and a dense layer, as LaBSE; weights that tell texts apart."""
    return save_random_bert(
        WORDS,
        tmp_path_factory.mktemp("bert"),
        hidden_size=64,
        initializer_range=0.1,
        dense_dim=DIM,
    )


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What sentence-transformers exports of it, also quantised."""
    pytest.importorskip("onnxruntime", reason="optimum-onnx is not installed: make setup")
    pytest.importorskip("optimum.onnxruntime", reason="optimum-onnx is not installed: make setup")

    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    path = tmp_path_factory.mktemp("onnx") / "model"

    model: SentenceTransformer = SentenceTransformer(str(folder), device="cpu", backend="onnx")
    model.save_pretrained(str(path), create_model_card=False)

    export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(path))

    return path


@pytest.fixture(scope="module")
def expected(folder: Path) -> NDArray[np.float32]:
    vectors = load(folder, device="cpu").encode(texts(40))

    # Else anything would be near anything.
    assert np.median(cosines(vectors, vectors)) < 0.2

    return vectors


def test_onnx_gives_the_vectors_of_torch(exported: Path, expected: NDArray[np.float32]) -> None:
    encoder = load(exported, backend="onnx", batch_size=16)

    assert encoder.dim == DIM

    np.testing.assert_allclose(encoder.encode(texts(40)), expected, atol=1e-4)


def test_int8_file_is_near_and_not_the_same(exported: Path, expected: NDArray[np.float32]) -> None:
    vectors = load(exported, backend="onnx", file_name=INT8).encode(texts(40))

    assert np.median(cosines(vectors, expected).diagonal()) > 0.9
    assert np.abs(vectors - expected).max() > 1e-3


def test_onnx_runs_with_the_threads_of_torch(exported: Path, one_thread: None) -> None:
    transformer: Any = load(exported, backend="onnx")._model[0]

    session = transformer.model.session

    assert session.get_session_options().intra_op_num_threads == 1
    assert session.get_providers() == ["CPUExecutionProvider"]


def test_nothing_is_written_beside_the_model(exported: Path) -> None:
    def state() -> list[tuple[Path, int]]:
        return sorted((path, path.stat().st_mtime_ns) for path in exported.rglob("*"))

    before = state()

    load(exported, backend="onnx").encode(["the cat"])

    assert state() == before


def test_identity_tells_backends_and_files_apart(
    folder: Path, exported: Path, tmp_path: Path
) -> None:
    both = tmp_path / "both"
    shutil.copytree(folder, both)

    alone = load(both, device="cpu").identity

    shutil.copytree(exported / "onnx", both / "onnx")

    # An export beside the weights does not touch the stores that torch filled.
    assert load(both, device="cpu").identity == alone

    onnx = load(both, backend="onnx").identity
    int8 = load(both, backend="onnx", file_name=INT8).identity

    assert len({tuple(sorted(identity.items())) for identity in (alone, onnx, int8)}) == 3
    assert onnx["onnxruntime"] == sys.modules["onnxruntime"].__version__

    # The content decides too.
    shutil.copy(both / INT8, both / "onnx" / "model.onnx")

    changed = load(both, backend="onnx").identity

    assert {key for key in onnx if onnx[key] != changed[key]} == {"model"}


def test_tensors_beside_the_file_are_part_of_the_identity(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "m"
    shutil.copytree(exported, path)

    seen = set()

    for content in (b"", b"1", b"2"):
        (path / "onnx" / "model.onnx_data").write_bytes(content)

        seen.add(locate_model(str(path), None, "onnx/model.onnx").identity)

    assert len(seen) == 3

    # Those of another file are not.
    (path / "onnx" / "model_O3.onnx_data").write_bytes(b"3")

    assert locate_model(str(path), None, "onnx/model.onnx").identity in seen


def test_pickled_weights_in_place_of_which_onnx_runs_are_no_matter(
    exported: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m"
    shutil.copytree(exported, path)

    (path / "pytorch_model.bin").write_bytes(b"pickled")

    load(path, backend="onnx")

    (path / "2_Dense" / "model.safetensors").rename(path / "2_Dense" / "pytorch_model.bin")

    with pytest.raises(EmbeddingError, match=r"2_Dense/pytorch_model\.bin without"):
        load(path, backend="onnx")


def test_a_file_that_is_not_there_gives_one_sentence(folder: Path, exported: Path) -> None:
    with pytest.raises(EmbeddingError, match=r"has no onnx/model\.onnx: export it once") as info:
        load(folder, backend="onnx")

    assert "\n" not in str(info.value)
    assert not (folder / "onnx").exists()

    with pytest.raises(
        EmbeddingError, match=rf"has no onnx/x\.onnx: .*\(onnx/model.onnx, {INT8}\)"
    ):
        load(exported, backend="onnx", file_name="onnx/x.onnx")


def test_a_damaged_file_gives_one_sentence(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "m"
    shutil.copytree(exported, path)

    (path / "onnx" / "model.onnx").write_bytes(b"damaged")

    with pytest.raises(EmbeddingError, match="cannot be loaded from") as info:
        load(path, backend="onnx")

    assert "\n" not in str(info.value)


@pytest.mark.parametrize(
    ("changes", "module", "match"),
    [
        ({"backend": "onnx"}, "onnxruntime", r'pip install "optimum-onnx\[onnxruntime\]"'),
        ({"backend": "onnx"}, "optimum", r'pip install "optimum-onnx\[onnxruntime\]"'),
        ({"quantization": "8bit"}, "bitsandbytes", "`quantization: 8bit` .* pip install bitsand"),
        ({"quantization": "4bit"}, "bitsandbytes", "`quantization: 4bit` .* pip install bitsand"),
    ],
)
def test_a_package_that_is_not_there_gives_one_sentence(
    changes: dict[str, Any],
    module: str,
    match: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find_spec(name: str) -> object:
        if name.startswith(f"{module}."):
            raise ModuleNotFoundError(name)

        return None if name == module else object()

    monkeypatch.setattr("fairseq2_jest.embedding.backend.find_spec", find_spec)

    config = SentenceTransformerConfig(model=str(folder), **changes)

    for check in (check_reference, SentenceTransformerEncoder):
        with pytest.raises(EmbeddingError, match=match):
            check(config)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"backend": "onnx", "dtype": "float16"}, "`dtype` is for `backend: torch`"),
        ({"backend": "onnx", "quantization": "8bit"}, "`quantization` is for `backend: torch`"),
        ({"backend": "onnx", "device": "cuda"}, "runs on the CPU, but `device` is cuda"),
        ({"backend": "onnx", "file_name": "model.bin"}, "the path of an ONNX file in the model"),
        ({"backend": "onnx", "file_name": "../x.onnx"}, "the path of an ONNX file in the model"),
        ({"backend": "onnx", "file_name": "/x.onnx"}, "the path of an ONNX file in the model"),
        ({"file_name": INT8}, "`file_name` is for `backend: onnx`"),
        ({"quantization": "8bit", "dtype": "float32"}, "computes in float16"),
        ({"quantization": "8bit", "device": "cpu"}, "`quantization: 8bit` needs a CUDA GPU"),
    ],
)
def test_settings_that_do_not_go_together_give_one_sentence(
    changes: dict[str, Any], match: str
) -> None:
    (error,) = SentenceTransformerConfig(**changes).validate().errors

    assert match in error


@pytest.mark.parametrize(
    "changes",
    [
        {"backend": "onnx"},
        {"backend": "onnx", "device": "cpu", "file_name": INT8},
        {"quantization": "8bit", "dtype": "float16", "device": "cuda:1"},
        {"quantization": "4bit", "dtype": "bfloat16"},
    ],
)
def test_settings_that_go_together_are_valid(changes: dict[str, Any]) -> None:
    assert not SentenceTransformerConfig(**changes).validate().has_error()


def test_only_what_onnx_needs_is_downloaded(
    exported: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.utils._paths import filter_repo_objects

    hub = tmp_path / "hub"
    shutil.copytree(folder, hub)
    shutil.copytree(exported / "onnx", hub / "onnx")

    snapshot = tmp_path / "commit"

    def snapshot_download(
        model: str, revision: str | None, allow_patterns: Any, ignore_patterns: Any
    ) -> str:
        for name in filter_repo_objects(
            model_files._names(hub), allow_patterns=allow_patterns, ignore_patterns=ignore_patterns
        ):
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)

            shutil.copy(hub / name, snapshot / name)

        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)

    config = SentenceTransformerConfig(model="some/model", backend="onnx", file_name=INT8)

    encoder = SentenceTransformerEncoder(config)

    assert encoder.encode(["the cat"]).shape == (1, DIM)
    assert encoder.identity["model"] == "some/model@commit"
    assert [path.name for path in snapshot.rglob("*.onnx")] == [Path(INT8).name]
    assert [path.parent.name for path in snapshot.rglob("*.safetensors")] == ["2_Dense"]

    shutil.rmtree(snapshot)

    SentenceTransformerEncoder(SentenceTransformerConfig(model="some/model", device="cpu"))

    assert not (snapshot / "onnx").exists()


@pytest.mark.parametrize(
    ("quantization", "dtype", "layer", "least"),
    [
        ("8bit", "float16", "Linear8bitLt", 0.99),
        ("4bit", "float16", "Linear4bit", 0.8),
        ("4bit", "bfloat16", "Linear4bit", 0.8),
        ("4bit", "float32", "Linear4bit", 0.8),
    ],
)
def test_quantised_weights_give_vectors_near_those_of_torch(
    quantization: QuantizationName,
    dtype: DtypeName,
    layer: str,
    least: float,
    folder: Path,
    expected: NDArray[np.float32],
) -> None:
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed: make setup")

    # Not offered, for it is no faster there, but bitsandbytes can do it without a GPU.
    backend = TorchBackend("cpu", dtype, quantization)

    model = backend.load(locate_model(str(folder), None))

    assert layer in {type(module).__name__ for module in model.modules()}

    vectors = model.encode(texts(40), convert_to_tensor=True)

    assert vectors.dtype == getattr(torch, dtype)

    unit = torch.nn.functional.normalize(vectors.float(), dim=1).numpy()

    assert np.median(cosines(unit, expected).diagonal()) > least
    assert np.abs(unit - expected).max() > 1e-4

    plain = TorchBackend("cpu", dtype, "none").identity

    assert {**plain, **backend.identity} != plain
    assert "bitsandbytes" in backend.identity
