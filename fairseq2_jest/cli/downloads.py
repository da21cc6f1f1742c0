"""Whether a run will get the models that it names, without downloading any."""

from __future__ import annotations

from typing import Final
from urllib.request import Request, urlopen

from fairseq2.assets import AssetCard, AssetDownloadError, AssetDownloadManager
from fairseq2.runtime.dependency import DependencyResolver
from fairseq2.utils.uri import Uri

from fairseq2_jest.cli.sections import iter_asset_sections

_TIMEOUT: Final = 10.0


def check_downloads(config: object, resolver: DependencyResolver) -> None:
    """Check that each model is in the cache, or that the place to download it from answers.

    Tokenizers are small and data sets are local files: a command's own check opens those.

    :raises AssetDownloadError: One is neither here nor there.
    """
    for asset in iter_asset_sections(config):
        if asset.kind == "model" and asset.names_card:
            card = asset.card(resolver)

            if card is not None:
                _check_model(card, resolver)


def _check_model(card: AssetCard, resolver: DependencyResolver) -> None:
    field = card.maybe_get_field("checkpoint")

    # Without a checkpoint the model is gated, which fairseq2 says itself.
    if field is None:
        return

    uri = field.as_uri()

    if uri.scheme not in ("http", "https", "hg", "hf"):
        return

    try:
        resolver.resolve(AssetDownloadManager).download_model(uri, local_only=True)
    except (AssetDownloadError, OSError):
        try:
            _ask(uri)
        except OSError as ex:
            raise AssetDownloadError(uri, "It is not reachable.") from ex


def _ask(uri: Uri) -> None:
    if uri.scheme in ("hg", "hf"):
        from huggingface_hub import HfApi

        HfApi().model_info(f"{uri.netloc}{uri.path}", timeout=_TIMEOUT)
    else:
        # Some hosts refuse what does not look like a browser.
        request = Request(str(uri), method="HEAD", headers={"User-Agent": "Mozilla/5.0"})

        with urlopen(request, timeout=_TIMEOUT):
            pass
