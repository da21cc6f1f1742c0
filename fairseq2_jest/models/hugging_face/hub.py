"""Models on the Hugging Face hub: ``hg://owner/name``, at a revision with ``?revision=...``.

fairseq2's own downloads of ``hg://`` leave out what these models need, SentencePiece models and,
where a repository has no safetensors, its other weights. Files are therefore fetched under the
scheme ``hf``, Hugging Face's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, final
from urllib.parse import parse_qs

from fairseq2.assets import AssetDownloadError, AssetDownloadManager
from fairseq2.error import NotSupportedError
from fairseq2.utils.uri import Uri
from typing_extensions import override

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.configs import CONFIG_FILE
from fairseq2_jest.models.hugging_face.weights import PICKLED, SAFETENSORS

SCHEME: Final = "hf"

_DESCRIPTION: Final = (CONFIG_FILE, "generation_config.json")
_TOKENIZER: Final = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "sentencepiece.bpe.model",
)
_SAFETENSORS: Final = (*SAFETENSORS, "model-*.safetensors")
_PICKLED: Final = (*PICKLED, "pytorch_model-*.bin")

_NAME: Final = re.compile(r"h[fg]://([\w.-]+/[\w.-]+)(?:\?revision=([\w./-]+))?")


@dataclass(frozen=True)
class HubModel:
    """A repository of the hub."""

    repo: str
    """``owner/name``."""

    revision: str | None = None
    """A branch, tag or commit; ``None`` for the newest."""

    @property
    def uri(self) -> str:
        """What the download manager takes."""
        return f"{SCHEME}://{self.repo}" + (f"?revision={self.revision}" if self.revision else "")


def parse_hub_name(name: str) -> HubModel | None:
    """The repository that ``name`` is about, ``None`` if it is of another form.

    :raises ModelError: It begins like one, but is none.
    """
    if not name.startswith(("hg://", "hf://")):
        return None

    match = _NAME.fullmatch(name)

    if match is None:
        raise ModelError(
            f"{name} is not of the form hg://owner/name or hg://owner/name?revision=REVISION."
        )

    return HubModel(match[1], match[2])


def fetch_description(model: HubModel) -> Path:
    """The folder with the config and the tokenizer; it is named by the commit.

    :raises fairseq2.assets.AssetDownloadError: They are neither in the cache nor reachable.
    """
    return _fetch(model, (*_DESCRIPTION, *_TOKENIZER), local_only=False)


@final
class HuggingFaceModelManager(AssetDownloadManager):
    """Serves ``hf://owner/name``: weights as safetensors, else pickled, and tokenizers."""

    @override
    def download_model(
        self,
        uri: Uri,
        model_name: str = "",
        *,
        force: bool = False,
        local_only: bool = False,
        progress: bool = True,
    ) -> Path:
        model = _parse(uri)

        for weights in (_SAFETENSORS, _PICKLED):
            folder = _fetch(model, (*_DESCRIPTION, *weights), local_only=local_only, force=force)

            if any((folder / name).exists() for name in weights):
                return folder / CONFIG_FILE

        raise AssetDownloadError(uri, "There are no weights.")

    @override
    def download_tokenizer(
        self,
        uri: Uri,
        tokenizer_name: str = "",
        *,
        force: bool = False,
        local_only: bool = False,
        progress: bool = True,
    ) -> Path:
        # The config says how many of the tokens the model knows.
        files = (*_DESCRIPTION, *_TOKENIZER)

        return _fetch(_parse(uri), files, local_only=local_only, force=force)

    @override
    def download_dataset(
        self,
        uri: Uri,
        dataset_name: str = "",
        *,
        force: bool = False,
        local_only: bool = False,
        progress: bool = True,
    ) -> NoReturn:
        raise NotSupportedError(f"{uri} cannot be a data set: the {SCHEME} scheme is for models.")

    @property
    @override
    def supported_schemes(self) -> Set[str]:
        return {SCHEME}


def _parse(uri: Uri) -> HubModel:
    revisions = parse_qs(uri.query).get("revision", [])

    return HubModel(f"{uri.netloc}{uri.path}", revisions[0] if revisions else None)


def _fetch(model: HubModel, files: Sequence[str], *, local_only: bool, force: bool = False) -> Path:
    from huggingface_hub import snapshot_download

    with _told_of(model):
        folder = snapshot_download(
            model.repo,
            revision=model.revision,
            allow_patterns=list(files),
            local_files_only=local_only,
            force_download=force,
        )

    return Path(folder)


@contextmanager
def _told_of(model: HubModel) -> Iterator[None]:
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    # OSError covers no network and not in the cache.
    except (HfHubHTTPError, HFValidationError, OSError) as ex:
        raise AssetDownloadError(
            Uri.parse(model.uri), "It is not there or cannot be reached."
        ) from ex
