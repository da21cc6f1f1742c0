"""The files of a sentence-transformers model: where they are, what they are, and if they are safe.

Every model is loaded from a folder, one from the hub from its snapshot. sentence-transformers
trusts code that lies in a folder, hence :func:`locate_model` refuses a model that brings code,
and never downloads any; nor does it download pickled weights. An ONNX file is data to ONNX Runtime.
"""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Final

from fairseq2_jest.embedding.errors import EmbeddingError

DEFAULT_ONNX_FILE: Final = "onnx/model.onnx"
"""Where sentence-transformers exports to."""

_DESCRIPTIONS: Final = ["*.json", "*.txt", "*.model"]
_PATTERNS: Final = ["*.safetensors", *_DESCRIPTIONS]
_EXPORTS: Final = ["onnx/*", "openvino/*"]


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """A model that is safe to load."""

    name: str
    """What the user calls it."""

    folder: Path
    """Where its files are."""

    identity: str
    """``name@commit`` for a model of the hub, ``sha256:...`` of its files for a folder."""


def locate_model(model: str, revision: str | None, onnx_file: str | None = None) -> ModelFiles:
    """Find ``model``, a local folder or a name on the hub, downloading what is not cached.

    :param onnx_file: What is run in place of its safetensors weights, as a path in the model.
    :raises EmbeddingError: It is neither, lacks the ONNX file or else safetensors weights, or
        needs its own code.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise EmbeddingError(
                f"`revision` is for models of the hub, but {model} is a folder: remove it."
            )
        _check(folder, model, onnx_file)
        digest = _digest(folder, onnx_file)
        return ModelFiles(name=model, folder=folder, identity=f"sha256:{digest}")
    if model.startswith(("/", ".", "~")):
        raise EmbeddingError(
            f"The reference model {model} is not a folder: correct the path, or give the name of "
            "a model on the hub."
        )
    snapshot = _download(model, revision, onnx_file)
    _check(snapshot, model, onnx_file)
    return ModelFiles(name=model, folder=snapshot, identity=f"{model}@{snapshot.name}")


def check_model(model: str, revision: str | None, onnx_file: str | None = None) -> None:
    """Check that :func:`locate_model` will find ``model``, without downloading it.

    :raises EmbeddingError: As there; of a model on the hub only the ONNX file is looked for.
    """
    if Path(model).expanduser().is_dir() or model.startswith(("/", ".", "~")):
        locate_model(model, revision, onnx_file)
        return
    with _told_of(model, revision):
        files = _ask(model, revision, onnx_file)
    if onnx_file is not None and onnx_file not in files:
        raise _no_onnx_file(model, onnx_file, files)


def _ask(model: str, revision: str | None, onnx_file: str | None) -> list[str]:
    """The files of a model on the hub, or of its copy in the cache if that has what is wanted."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model, revision=revision, local_files_only=True))
        if onnx_file is None or (folder / onnx_file).is_file():
            return _names(folder)
    except LocalEntryNotFoundError:
        pass
    siblings = HfApi().model_info(model, revision=revision, timeout=10.0).siblings
    return [sibling.rfilename for sibling in siblings or ()]


def _download(model: str, revision: str | None, onnx_file: str | None) -> Path:
    from huggingface_hub import snapshot_download

    if onnx_file is None:
        wanted, unwanted = _PATTERNS, _EXPORTS
    else:
        # Of the weights only those of modules after the transformer, which are in folders.
        wanted = [*_DESCRIPTIONS, "*/*.safetensors", *_onnx_patterns(onnx_file)]
        unwanted = None
    with _told_of(model, revision):
        folder = snapshot_download(
            model, revision=revision, allow_patterns=wanted, ignore_patterns=unwanted
        )

    return Path(folder)


def _onnx_patterns(onnx_file: str) -> list[str]:
    """The file, and those of its tensors if they are not in it: ``.onnx_data``, ``.onnx.data``."""
    return [glob.escape(onnx_file), f"{glob.escape(onnx_file)}[._]data"]


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


def _check(folder: Path, name: str, onnx_file: str | None) -> None:
    if onnx_file is not None:
        if not (folder / onnx_file).is_file():
            raise _no_onnx_file(name, onnx_file, _names(folder))
    elif not any(folder.rglob("*.safetensors")):
        raise EmbeddingError(
            f"The reference model {name} holds no safetensors weights, and pickled ones are never "
            "loaded: convert it (load it where you trust it, then `model.save(folder)`)."
        )
    for pickled in sorted(folder.rglob("pytorch_model*.bin")):
        if onnx_file is not None and pickled.parent == folder:
            continue  # in whose place the ONNX file is
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


def _no_onnx_file(name: str, onnx_file: str, files: list[str]) -> EmbeddingError:
    others = [file for file in files if file.endswith(".onnx")]
    if others:
        return EmbeddingError(
            f"The reference model {name} has no {onnx_file}: set `file_name` to one that it has "
            f"({', '.join(others)})."
        )
    return EmbeddingError(
        f"The reference model {name} has no {onnx_file}: export it once, in Python, by "
        f"SentenceTransformer({name!r}, backend='onnx').save_pretrained('FOLDER'), set `model` to "
        f"that folder, and leave `file_name` out for the {DEFAULT_ONNX_FILE} that it then has."
    )


def _names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def _digest(folder: Path, onnx_file: str | None) -> str:
    names = _names(folder)
    decisive = {name for name in names if _fits(name, _PATTERNS) and not _fits(name, _EXPORTS)}
    if onnx_file is not None:
        decisive |= {name for name in names if _fits(name, _onnx_patterns(onnx_file))}
    digest = hashlib.sha256()
    for name in sorted(decisive, key=PurePosixPath):
        digest.update(name.encode() + b"\0")
        with (folder / name).open("rb") as file:
            content = hashlib.sha256()
            while chunk := file.read(1 << 20):
                content.update(chunk)
        digest.update(content.digest())
    return digest.hexdigest()


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
