"""The files of a sentence-transformers model: where they are, what they are, and if they are safe.

Every model is loaded from a folder, one from the hub from its snapshot. sentence-transformers
trusts code that lies in a folder, hence :func:`locate_model` refuses a model that brings code,
and never downloads any; nor does it download pickled weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fairseq2_jest.embedding.errors import EmbeddingError

_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model"]
_OTHER_BACKENDS = ["onnx/*", "openvino/*"]


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A model that is safe to load."""

    name: str
    """What the user calls it."""

    folder: Path
    """Where its files are."""

    identity: str
    """``name@commit`` for a model of the hub, ``sha256:...`` of its files for a folder."""


def locate_model(model: str, revision: str | None) -> ModelFiles:
    """Find ``model``, a local folder or a name on the hub, downloading what is not cached.

    :raises EmbeddingError: It is neither, has no safetensors weights, or needs its own code.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise EmbeddingError(
                f"`revision` is for models of the hub, but {model} is a folder: remove it."
            )
        _check(folder, model)
        return ModelFiles(name=model, folder=folder, identity=f"sha256:{_digest(folder)}")
    if model.startswith(("/", ".", "~")):
        raise EmbeddingError(
            f"The reference model {model} is not a folder: correct the path, or give the name of "
            "a model on the hub."
        )
    snapshot = _download(model, revision)
    _check(snapshot, model)
    return ModelFiles(name=model, folder=snapshot, identity=f"{model}@{snapshot.name}")


def check_model(model: str, revision: str | None) -> None:
    """Check that :func:`locate_model` will find ``model``, without downloading it.

    :raises EmbeddingError: As there; what a model on the hub holds is not looked at.
    """
    if Path(model).expanduser().is_dir() or model.startswith(("/", ".", "~")):
        locate_model(model, revision)
    else:
        with _told_of(model, revision):
            _ask(model, revision)


def _ask(model: str, revision: str | None) -> None:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        snapshot_download(model, revision=revision, allow_patterns=_PATTERNS, local_files_only=True)
    except LocalEntryNotFoundError:
        HfApi().model_info(model, revision=revision, timeout=10.0)


def _download(model: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    with _told_of(model, revision):
        folder = snapshot_download(
            model, revision=revision, allow_patterns=_PATTERNS, ignore_patterns=_OTHER_BACKENDS
        )

    return Path(folder)


@contextmanager
def _told_of(model: str, revision: str | None) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HFValidationError as ex:
        raise EmbeddingError(
            f"The reference model {model} is neither a folder nor a model name of the form "
            "owner/name: correct `model`."
        ) from ex
    except (HfHubHTTPError, OSError) as ex:  # OSError covers no network and not in the cache
        at = f" at revision {revision}" if revision is not None else ""
        raise EmbeddingError(
            f"The reference model {model}{at} is not in the local Hugging Face cache and cannot be "
            "downloaded: check its name and the network, or set `model` to a folder that holds it."
        ) from ex


def _check(folder: Path, name: str) -> None:
    if not any(folder.rglob("*.safetensors")):
        raise EmbeddingError(
            f"The reference model {name} holds no safetensors weights, and pickled ones are never "
            "loaded: convert it (load it where you trust it, then `model.save(folder)`)."
        )
    for pickled in sorted(folder.rglob("pytorch_model*.bin")):
        if not any(pickled.parent.glob("*.safetensors")):
            raise EmbeddingError(
                f"The reference model {name} holds {pickled.relative_to(folder)} without "
                "safetensors beside it, and pickled weights are never loaded: convert it (load it "
                "where you trust it, then `model.save(folder)`)."
            )
    modules = folder / "modules.json"
    if not modules.is_file():
        return
    try:
        types = [str(module["type"]) for module in json.loads(modules.read_bytes())]
    except (ValueError, KeyError, TypeError) as ex:
        raise EmbeddingError(
            f"modules.json of the reference model {name} is damaged: get the model again."
        ) from ex
    for module_type in types:
        if not module_type.startswith("sentence_transformers."):
            raise EmbeddingError(
                f"The reference model {name} needs code of its own ({module_type}), which is "
                "never run: name a model made of sentence-transformers' modules."
            )


def _digest(folder: Path) -> str:
    files = {path for pattern in _PATTERNS for path in folder.rglob(pattern) if path.is_file()}
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            content = hashlib.sha256()
            while chunk := file.read(1 << 20):
                content.update(chunk)
        digest.update(content.digest())
    return digest.hexdigest()
