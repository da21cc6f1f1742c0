"""Asset cards made on the fly: a name may be a folder or a repository of the Hugging Face hub.

So ``model.name: ./folder`` and ``model.name: hg://owner/name`` work wherever fairseq2 takes the
name of a model or a tokenizer; the card that stands behind them is read from the files there.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Final, final

from fairseq2.assets import AssetMetadataProvider, AssetMetadataSource
from typing_extensions import override

from fairseq2_jest.models.errors import ModelError
from fairseq2_jest.models.hugging_face.configs import CONFIG_FILE, describe_model
from fairseq2_jest.models.hugging_face.hub import HubModel, fetch_description, parse_hub_name
from fairseq2_jest.models.mbart.config import MBART_FAMILY
from fairseq2_jest.models.mbart.fairseq import holds_fairseq_dictionary, read_fairseq_config

_PATH_PREFIXES: Final = ("./", "../", "/", "~")


@final
class ModelFolderSource(AssetMetadataSource):
    """Lets the asset store ask for a card of any name."""

    @override
    def load(self) -> Iterator[AssetMetadataProvider]:
        yield ModelFolderProvider()


@final
class ModelFolderProvider(AssetMetadataProvider):
    """Makes the card of a folder or a repository when it is asked for, and lists none."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, object]] = {}

    @override
    def maybe_get_metadata(self, name: str) -> dict[str, object] | None:
        """
        :raises ModelError: ``name`` is a folder or a repository without a model.
        :raises fairseq2.assets.AssetDownloadError: The repository is not reachable.
        """
        # fairseq2 asks for `name@` first and then for the same in each environment.
        name, _, env = name.rpartition("@")

        if env or not name:
            return None

        if name not in self._known:
            metadata = _make_metadata(name)

            if metadata is None:
                return None

            self._known[name] = metadata

        return dict(self._known[name])

    @property
    @override
    def asset_names(self) -> Set[str]:
        return frozenset()

    @property
    @override
    def source(self) -> str:
        return "folders and the Hugging Face hub"


def _make_metadata(name: str) -> dict[str, object] | None:
    model = parse_hub_name(name)

    if model is not None:
        folder = fetch_description(model)

        # The weights are to be of the commit whose config was read.
        uri = HubModel(model.repo, model.revision and folder.name).uri

        return _card(folder, uri, uri)

    folder = Path(name).expanduser()

    # A name without a slash is that of a card, even if there is a folder beside.
    if "/" not in name or not (name.startswith(_PATH_PREFIXES) or folder.is_dir()):
        return None

    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder (relative paths start from {Path.cwd()}).")

    folder = folder.resolve()

    if holds_fairseq_dictionary(folder):
        return {
            "model_family": MBART_FAMILY,
            "model_config_overrides": read_fairseq_config(folder),
            "checkpoint": str(folder),
            "tokenizer_family": MBART_FAMILY,
            "tokenizer": str(folder),
        }

    if not (folder / CONFIG_FILE).is_file():
        raise ModelError(
            f"{folder} holds no model: it has neither a {CONFIG_FILE} of Hugging Face nor a "
            f"dict.txt of fairseq 1."
        )

    return _card(folder, str(folder / CONFIG_FILE), str(folder))


def _card(folder: Path, checkpoint: str, tokenizer: str) -> dict[str, object]:
    description = describe_model(folder)

    return {
        "model_family": description.family,
        "model_config_overrides": dict(description.config),
        "checkpoint": checkpoint,
        "tokenizer_family": description.tokenizer_family,
        "tokenizer": tokenizer,
    }
