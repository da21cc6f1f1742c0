"""What runs a sentence-transformers model: torch, or ONNX Runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import torch
from typing_extensions import override

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.model_files import ModelFiles

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BackendName: TypeAlias = Literal["torch", "onnx"]
DtypeName: TypeAlias = Literal["float32", "float16", "bfloat16"]
QuantizationName: TypeAlias = Literal["none", "8bit", "4bit"]


class Backend(ABC):
    """Loads a model's files, and says what of itself decides the vectors."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """Its part of the encoder's identity; asked for when it is known to be installed."""

    @property
    def onnx_file(self) -> str | None:
        """The file that it runs, as a path in the model; ``None`` for the safetensors weights."""
        return None

    @abstractmethod
    def check_installed(self) -> None:
        """Check that its packages are there.

        :raises EmbeddingError: One is not.
        """

    def check_device(self) -> None:
        """Check that this machine has what it runs on.

        :raises EmbeddingError: It has not.
        """
        return

    def load(self, files: ModelFiles) -> SentenceTransformer:
        """Load the model, in eval mode, without code or anything pickled, and offline.

        :raises EmbeddingError: It does not load.
        """
        try:
            return self._load(files).eval()
        except Exception as ex:  # transformers, torch and ONNX Runtime raise what they please
            reason = str(ex).strip().splitlines()[0] if str(ex).strip() else type(ex).__name__
            raise EmbeddingError(
                f"The reference model {files.name} cannot be loaded from {files.folder}: {reason}"
            ) from ex

    @abstractmethod
    def _load(self, files: ModelFiles) -> SentenceTransformer: ...


class TorchBackend(Backend):
    """
    :param device: Where it runs; ``None`` is the GPU if there is one.
    :param dtype: What it computes in; ``None`` is float16 on a GPU and float32 elsewhere.
    :param quantization: How bitsandbytes holds the weights of linear layers.
    """

    def __init__(
        self, device: str | None, dtype: DtypeName | None, quantization: QuantizationName
    ) -> None:
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = dtype or ("float16" if self._device.startswith("cuda") else "float32")
        self._quantization = quantization

    @property
    @override
    def identity(self) -> Mapping[str, str]:
        identity: dict[str, str] = {"dtype": self._dtype, "quantization": self._quantization}
        if self._quantization != "none":
            identity["bitsandbytes"] = version("bitsandbytes")
        return identity

    @override
    def check_installed(self) -> None:
        if self._quantization != "none" and not _is_installed("bitsandbytes"):
            raise EmbeddingError(
                f"`quantization: {self._quantization}` needs bitsandbytes, which is not installed: "
                "pip install bitsandbytes, or set `quantization` to none."
            )

    @override
    def check_device(self) -> None:
        if self._quantization != "none" and not self._device.startswith("cuda"):
            raise EmbeddingError(needs_gpu(self._quantization, self._device))

    @override
    def _load(self, files: ModelFiles) -> SentenceTransformer:
        if self._quantization == "none":
            model = _construct(files, self._device, {"use_safetensors": True})
            return model.to(getattr(torch, self._dtype))
        # What is quantised cannot be cast any more, and is made where it stays.
        model = _construct(
            files,
            None,
            {
                "use_safetensors": True,
                "device_map": {"": self._device},
                "dtype": getattr(torch, self._dtype),
                "quantization_config": self._quantization_config(),
            },
        )
        # A table of vectors, and whatever else is not of transformers, does not heed it.
        if not any(getattr(module, "is_quantized", False) for module in model.modules()):
            raise EmbeddingError(
                f"it has no transformer for `quantization: {self._quantization}`; set that to none."
            )
        return model

    def _quantization_config(self) -> dict[str, Any]:
        """What transformers makes a BitsAndBytesConfig of."""
        config: dict[str, Any] = {"quant_method": "bitsandbytes"}
        if self._quantization == "8bit":
            return {**config, "load_in_8bit": True}
        return {
            **config,
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": self._dtype,
        }


class OnnxBackend(Backend):
    """ONNX Runtime on the CPU, with as many threads as torch has.

    Only the transformer runs there: pooling and what comes after it are torch's, in float32.

    :param onnx_file: A path in the model. What sentence-transformers or optimum export, optimise
        or quantise can be run.
    """

    def __init__(self, onnx_file: str) -> None:
        self._onnx_file = onnx_file

    @property
    @override
    def identity(self) -> Mapping[str, str]:
        import onnxruntime  # its distribution has several names

        return {
            "backend": "onnx",
            "file": self._onnx_file,
            "onnxruntime": str(onnxruntime.__version__),
        }

    @property
    @override
    def onnx_file(self) -> str:
        return self._onnx_file

    @override
    def check_installed(self) -> None:
        if not (_is_installed("onnxruntime") and _is_installed("optimum.onnxruntime")):
            raise EmbeddingError(
                "`backend: onnx` needs onnxruntime and optimum-onnx, which are not both installed: "
                'pip install "optimum-onnx[onnxruntime]", or set `backend` to torch.'
            )

    @override
    def _load(self, files: ModelFiles) -> SentenceTransformer:
        from onnxruntime import SessionOptions

        options = SessionOptions()
        # Else it takes all cores, whatever the run was told.
        options.intra_op_num_threads = torch.get_num_threads()
        return _construct(
            files,
            "cpu",
            {
                # By default a GPU's if there is one, and an export if the file is not there.
                "provider": "CPUExecutionProvider",
                "export": False,
                "file_name": self._onnx_file,
                "session_options": options,
            },
            backend="onnx",
        )


def needs_gpu(quantization: QuantizationName, device: str) -> str:
    return (
        f"`quantization: {quantization}` needs a CUDA GPU, but the reference runs on {device}: set "
        "`quantization` to none, or `device` to cuda."
    )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of its parent
        return False


def _construct(
    files: ModelFiles,
    device: str | None,
    model_kwargs: dict[str, Any],
    *,
    backend: BackendName = "torch",
) -> SentenceTransformer:
    # Imported here because it takes seconds, and the extension is loaded by every command.
    from sentence_transformers import SentenceTransformer

    model: SentenceTransformer = SentenceTransformer(
        str(files.folder),
        device=device,
        trust_remote_code=False,
        local_files_only=True,
        model_kwargs=model_kwargs,
        backend=backend,
    )
    return model
