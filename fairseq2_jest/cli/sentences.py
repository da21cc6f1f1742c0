"""fairseq2's errors in one sentence: where it has only a stack trace to show, or another code."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.error import URLError

from fairseq2.assets import AssetCardError, AssetDownloadError
from fairseq2.data.tokenizers import TokenizerGatedError, TokenizerModelError
from fairseq2.error import OperationalError
from fairseq2.model_checkpoint import CorruptModelCheckpointError
from fairseq2.models import ModelGatedError
from fairseq2.recipe.error import (
    DatasetTypeNotValidError,
    ModelTypeNotValidError,
    RecipeConfigParseError,
    RecipeError,
    TokenizerTypeNotValidError,
)
from fairseq2.runtime.dependency import get_dependency_resolver
from fairseq2.utils.uri import Uri
from fairseq2.utils.validation import ValidationError

from fairseq2_jest.cli.config_check import innermost
from fairseq2_jest.cli.sections import iter_asset_sections
from fairseq2_jest.cli.usage import UsageError

# What the user can mend. Any other system error may be a bug, and keeps its stack trace.
_MENDABLE: Final = {
    errno.EACCES: "change its permissions, or name another",
    errno.EPERM: "change its permissions, or name another",
    errno.EROFS: "name one that can be written",
    errno.ENOENT: "mend the path",
    errno.ENOTDIR: "mend the path, a part of it is a file",
    errno.EISDIR: "name a file",
    errno.EEXIST: "mend the path, a part of it is a file",
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
}


@contextmanager
def told_in_one_sentence(config: object) -> Iterator[None]:
    """Raise a :class:`UsageError` in place of an error of fairseq2 that the user can mend.

    :param config: The config of the recipe, in which the field at fault is looked up.
    """
    try:
        yield
    except Exception as ex:
        sentence = _sentence(ex, config)

        if sentence is None:
            raise

        raise UsageError(sentence) from ex


def system_sentence(ex: OSError, what: str | None = None) -> str | None:
    """The sentence about a system error, ``None`` if it is not one that a user can mend."""
    what = what or ex.filename

    if ex.errno not in _MENDABLE or what is None:
        return None

    return f"{what} cannot be used ({ex.strerror}); {_MENDABLE[ex.errno]}."


def _sentence(ex: Exception, config: object) -> str | None:
    if isinstance(ex, OperationalError):
        return _sentence(ex.__cause__, config) if isinstance(ex.__cause__, OSError) else None

    if isinstance(ex, OSError):
        return system_sentence(ex)

    for kls, tell in _TELLERS.items():
        if isinstance(ex, kls):
            return tell(ex, config)

    return None


def _tell_download(ex: AssetDownloadError, config: object) -> str:
    if ex.uri.scheme in ("hg", "hf"):
        reason, variable = "it is not there or cannot be reached", "HF_HOME"
    else:
        reason, variable = _network_reason(ex.__cause__ or ex), "FAIRSEQ2_CACHE_DIR"

    return (
        f"{_named_by(ex.uri, config)}{ex.uri} cannot be downloaded ({reason}); check the network, "
        f"or fetch it where there is one and bring its cache folder ({variable}) here."
    )


def _network_reason(ex: BaseException) -> str:
    # fairseq2 says that the address is not reachable, even where the server says it has no such
    # file.
    if isinstance(ex, URLError) and isinstance(ex.reason, BaseException):
        ex = ex.reason

    return getattr(ex, "strerror", None) or " ".join(str(ex).split()).rstrip(".")


def _named_by(uri: Uri, config: object) -> str:
    """The field that stands for the file at ``uri``, as the begin of a sentence."""
    for asset in iter_asset_sections(config):
        card = asset.card(get_dependency_resolver()) if asset.names_card else None

        field = "checkpoint" if asset.kind == "model" else asset.kind

        value = None if card is None else card.maybe_get_field(field)

        if value is not None and str(value.as_uri()) == str(uri):
            return f"{asset.path}.name is {asset.section.name}, and its file "

    return ""


def _tell_card(ex: AssetCardError, config: object) -> str:
    # The inner error is about the file; the outer one knows where it was downloaded to.
    return f"The asset {ex.name} cannot be used: {ex}"


def _tell_file(ex: CorruptModelCheckpointError | TokenizerModelError, config: object) -> str:
    message = " ".join(str(ex).split()).rstrip(".")

    for asset in iter_asset_sections(config):
        if getattr(asset.section, "path", None) == ex.path:
            return f"{message}; mend {asset.path}.path, or make that file anew."

    return f"{message}; make {ex.path} anew."


def _tell_type(ex: Any, config: object) -> str:
    return (
        f"{ex.section_name} must be a {ex.valid_kls.__name__}, but the one named is a "
        f"{ex.kls.__name__}; name another."
    )


def _tell_parse(ex: RecipeConfigParseError, config: object) -> str:
    return f"{str(ex).rstrip('.')}: {innermost(ex)}"


def _tell_itself(ex: Exception, config: object) -> str:
    return str(ex)


_TELLERS: Final[dict[type[Exception], Callable[[Any, object], str]]] = {
    AssetDownloadError: _tell_download,
    AssetCardError: _tell_card,
    CorruptModelCheckpointError: _tell_file,
    TokenizerModelError: _tell_file,
    DatasetTypeNotValidError: _tell_type,
    ModelTypeNotValidError: _tell_type,
    TokenizerTypeNotValidError: _tell_type,
    RecipeConfigParseError: _tell_parse,
    ModelGatedError: _tell_itself,
    TokenizerGatedError: _tell_itself,
    RecipeError: _tell_itself,
    ValidationError: _tell_itself,
}
