"""The reference's view of a sentence: any sentence-transformers model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.validation import ValidationResult
from numpy.typing import NDArray
from typing_extensions import override

from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.model_files import ModelFiles, locate_model

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

    device: str | None = None
    """Where it runs, such as ``cpu`` or ``cuda:0``; ``None`` is the GPU if there is one."""

    dtype: Literal["float32", "float16", "bfloat16"] | None = None
    """The precision it runs in; ``None`` is float16 on a GPU and float32 elsewhere."""

    batch_size: int = 64
    """Sentences a forward pass."""

    quantization: Literal["none", "4bit"] = "none"
    """``4bit`` holds the weights as NF4 (needs a CUDA GPU and bitsandbytes)."""

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
        return result


class SentenceTransformerEncoder(ReferenceEncoder):
    """A sentence-transformers model, loaded when this is constructed.

    Its embeddings are L2-normalised in float32, whatever precision the model runs in. A text in
    which the model finds no token at all gets the zero vector: it is similar to nothing.

    :raises EmbeddingError: The model is not there, is not safe to load, or does not load.
    """

    def __init__(self, config: SentenceTransformerConfig) -> None:
        self._config = config
        device = config.device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = config.dtype or ("float16" if device.startswith("cuda") else "float32")
        _check_quantization(config, device)

        files = locate_model(config.model, config.revision)
        self._model = _load(files, device, getattr(torch, dtype), config.quantization)
        self._dim = _probe_dim(self._model, config.model)
        self._identity = {
            "encoder": "sentence_transformer",
            "model": files.identity,
            "normalisation": "l2",
            "dtype": dtype,
            "quantization": config.quantization,
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


def _check_quantization(config: SentenceTransformerConfig, device: str) -> None:
    if config.quantization == "none":
        return
    if not device.startswith("cuda"):
        raise EmbeddingError(
            f"`quantization: 4bit` needs a CUDA GPU, but the reference runs on {device}: set "
            "`quantization` to none, or `device` to cuda."
        )
    if find_spec("bitsandbytes") is None:
        raise EmbeddingError(
            "`quantization: 4bit` needs bitsandbytes, which is not installed: pip install "
            "bitsandbytes, or set `quantization` to none."
        )


def _load(
    files: ModelFiles, device: str, dtype: torch.dtype, quantization: str
) -> SentenceTransformer:
    # Imported here because it takes seconds, and the extension is loaded by every command.
    from sentence_transformers import SentenceTransformer

    model_kwargs: dict[str, Any] = {"use_safetensors": True}
    if quantization == "4bit":
        # What transformers makes a BitsAndBytesConfig of.
        model_kwargs["quantization_config"] = {
            "quant_method": "bitsandbytes",
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": str(dtype).removeprefix("torch."),
        }
    try:
        model: SentenceTransformer = SentenceTransformer(
            str(files.folder),
            device=device,
            trust_remote_code=False,
            local_files_only=True,
            model_kwargs=model_kwargs,
        )
        if quantization == "none":
            model.to(dtype)
    except Exception as ex:  # transformers and torch raise what they please on a bad model
        reason = str(ex).strip().splitlines()[0] if str(ex).strip() else type(ex).__name__
        raise EmbeddingError(
            f"The reference model {files.name} cannot be loaded from {files.folder}: {reason}"
        ) from ex
    model.eval()
    return model


def _probe_dim(model: SentenceTransformer, name: str) -> int:
    """Ask the model itself: what its configuration says may leave out a later projection."""
    probe = model.encode(["a"], show_progress_bar=False, convert_to_tensor=True)
    if probe.ndim != 2:
        raise EmbeddingError(f"{name} does not give one vector a sentence: name another model.")
    return int(probe.shape[1])
