"""The reference's view of a sentence: any sentence-transformers model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import torch
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.validation import ValidationResult
from numpy.typing import NDArray
from typing_extensions import override

from fairseq2_jest.embedding.backend import (
    Backend,
    BackendName,
    DtypeName,
    OnnxBackend,
    QuantizationName,
    TorchBackend,
    needs_gpu,
)
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.model_files import DEFAULT_ONNX_FILE, check_model, locate_model

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class ReferenceEncoder(ABC):
    """Embeds sentences of any language so that translations lie close together."""

    @abstractmethod
    def encode(self, texts: Sequence[str], lang: str | None = None) -> NDArray[np.float32]:
        """Return the embeddings ``(N, d)`` of ``N`` texts, finite and of length 1.

        :param lang: The language of all texts, for encoders that want to know.
        :raises EmbeddingError: A text is empty, or the model's output is not finite.
        """

    @property
    @abstractmethod
    def dim(self) -> int:
        """The length ``d`` of an embedding."""

    @property
    @abstractmethod
    def identity(self) -> Mapping[str, str]:
        """All that decides an embedding beside its text; stores are addressed by it."""


@dataclass(frozen=True, kw_only=True)
class SentenceTransformerConfig:
    """Which sentence-transformers model is the reference, and how it runs."""

    model: str = "sentence-transformers/LaBSE"
    """A name on the Hugging Face hub, or a local folder. Weights must be safetensors, and the
    model must need no code of its own."""

    revision: str | None = None
    """The branch, tag or commit of a model on the hub; ``None`` is its main branch."""

    backend: BackendName = "torch"
    """``onnx`` runs an ONNX file of the model on the CPU (needs onnxruntime and optimum-onnx)."""

    file_name: str | None = None
    """Which ONNX file, as a path in the model, such as ``onnx/model_qint8_avx512_vnni.onnx``, whose
    weights are int8; ``None`` is ``onnx/model.onnx``. A text's vector by an int8 file depends a
    little on the texts beside it, hence on the order in which a store is filled."""

    device: str | None = None
    """Where torch runs it, such as ``cpu`` or ``cuda:0``; ``None`` is the GPU if there is one."""

    dtype: DtypeName | None = None
    """The precision torch runs it in; ``None`` is float16 on a GPU and float32 elsewhere."""

    batch_size: int = 64
    """Sentences a forward pass."""

    quantization: QuantizationName = "none"
    """How torch holds the weights: ``8bit`` is LLM.int8(), ``4bit`` is NF4 (needs a CUDA GPU and
    bitsandbytes)."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()
        if not self.model.strip():
            result.add_error("`model` must be a model name or a folder, but is empty.")
        if self.batch_size < 1:
            result.add_error(f"`batch_size` must be at least 1, but is {self.batch_size}.")
        if self.device is not None:
            try:
                torch.device(self.device)
            except RuntimeError:
                result.add_error(
                    f"`device` must be a device such as cpu or cuda:0, but is {self.device}."
                )
        for error in self._onnx_errors() if self.backend == "onnx" else self._torch_errors():
            result.add_error(error)
        return result

    def _torch_errors(self) -> Iterator[str]:
        if self.file_name is not None:
            yield "`file_name` is for `backend: onnx`: remove it, or set `backend` to onnx."
        device = self.device
        if self.quantization != "none" and device is not None and not device.startswith("cuda"):
            yield needs_gpu(self.quantization, device)
        if self.quantization == "8bit" and self.dtype not in (None, "float16"):
            yield (
                f"`quantization: 8bit` computes in float16, but `dtype` is {self.dtype}: remove "
                "`dtype`, or set `quantization` to 4bit or none."
            )

    def _onnx_errors(self) -> Iterator[str]:
        if self.file_name is not None:
            path = PurePosixPath(self.file_name)
            if path.suffix != ".onnx" or path.is_absolute() or ".." in path.parts:
                yield (
                    "`file_name` must be the path of an ONNX file in the model, such as "
                    f"{DEFAULT_ONNX_FILE}, but is {self.file_name}."
                )
        if self.device is not None and not self.device.startswith("cpu"):
            yield (
                f"`backend: onnx` runs on the CPU, but `device` is {self.device}: remove `device`, "
                "or set `backend` to torch."
            )
        if self.dtype is not None:
            yield (
                "`dtype` is for `backend: torch`, for an ONNX file has its own: remove it, or name "
                "another file in `file_name`."
            )
        if self.quantization != "none":
            yield (
                "`quantization` is for `backend: torch`: remove it, and name an ONNX file that is "
                "quantised in `file_name`, such as onnx/model_qint8_avx512_vnni.onnx."
            )


class SentenceTransformerEncoder(ReferenceEncoder):
    """A sentence-transformers model, loaded when this is constructed.

    Its embeddings are L2-normalised in float32, whatever precision the model runs in. A text in
    which the model finds no token at all gets the zero vector: it is similar to nothing.

    :raises EmbeddingError: The model is not there, is not safe to load, or does not load.
    """

    def __init__(self, config: SentenceTransformerConfig) -> None:
        self._config = config
        backend = _create_backend(config)
        backend.check_installed()
        backend.check_device()

        files = locate_model(config.model, config.revision, backend.onnx_file)
        self._model = backend.load(files)
        self._dim = _probe_dim(self._model, config.model)
        self._identity = {
            "encoder": "sentence_transformer",
            "model": files.identity,
            "normalisation": "l2",
            **backend.identity,
            "sentence-transformers": version("sentence-transformers"),
            "transformers": version("transformers"),
            "tokenizers": version("tokenizers"),
        }

    @override
    def encode(self, texts: Sequence[str], lang: str | None = None) -> NDArray[np.float32]:
        if len(texts) == 0:
            return np.zeros((0, self._dim), dtype=np.float32)
        for i, text in enumerate(texts):
            if not text.strip():
                raise EmbeddingError(
                    f"Text {i} of {len(texts)} is empty and has no embedding: clean the corpus."
                )
        # Sorts by length itself, and gives back in the order of the texts.
        output = self._model.encode(
            list(texts),
            batch_size=self._config.batch_size,
            show_progress_bar=False,
            convert_to_tensor=True,
        )
        # An inference tensor must not leave: autograd and in-place operations refuse it.
        vectors = output.detach().to("cpu", torch.float32).clone()
        if not torch.isfinite(vectors).all():
            bad = int((~torch.isfinite(vectors).all(dim=1)).nonzero()[0])
            raise EmbeddingError(
                f"The reference model {self._config.model} gave values that are not finite for "
                f"text {bad} of {len(texts)}: set `dtype` to float32, or check its weights."
            )
        normalised: NDArray[np.float32] = torch.nn.functional.normalize(vectors, dim=1).numpy()
        return normalised

    @property
    @override
    def dim(self) -> int:
        return self._dim

    @property
    @override
    def identity(self) -> Mapping[str, str]:
        return self._identity


def create_sentence_transformer_encoder(
    resolver: DependencyResolver, config: SentenceTransformerConfig
) -> ReferenceEncoder:
    """Make the ``sentence_transformer`` component."""
    return SentenceTransformerEncoder(config)


def check_reference(config: SentenceTransformerConfig) -> None:
    """Check that the encoder's model and packages are there, without downloading or loading them.

    :raises EmbeddingError: One is not. What device this machine has is not looked at.
    """
    backend = _create_backend(config)
    backend.check_installed()
    check_model(config.model, config.revision, backend.onnx_file)


def _create_backend(config: SentenceTransformerConfig) -> Backend:
    if config.backend == "onnx":
        return OnnxBackend(config.file_name or DEFAULT_ONNX_FILE)
    return TorchBackend(config.device, config.dtype, config.quantization)


def _probe_dim(model: SentenceTransformer, name: str) -> int:
    """Ask the model itself: what its configuration says may leave out a later projection."""
    probe = model.encode(["a"], show_progress_bar=False, convert_to_tensor=True)
    if probe.ndim != 2:
        raise EmbeddingError(f"{name} does not give one vector a sentence: name another model.")
    return int(probe.shape[1])
