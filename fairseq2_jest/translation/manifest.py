"""What decides every line of a result, written beside it: results of two kinds are never mixed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from fairseq2_jest.translation.errors import TranslationError

MANIFEST_NAME: Final = "manifest.json"


def check_manifest(folder: Path, identity: Mapping[str, object]) -> bool:
    """Whether ``folder`` holds a result, finished or not, of just this ``identity``.

    :param identity: Nested mappings, ready for JSON.

    :raises TranslationError: It holds another; the message names the first difference.
    """
    file = folder / MANIFEST_NAME

    mend = f"name another output directory, or delete {folder} to begin anew."

    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if any(folder.glob("shards/[!.]*")):
            raise TranslationError(
                f"{folder} holds translations, but not its {MANIFEST_NAME}, which says of what; "
                f"{mend}"
            ) from None

        return False
    except ValueError as ex:
        raise TranslationError(f"{file} is damaged; {mend}") from ex

    known, wanted = dict(_flatten(found)), dict(_flatten(identity))

    for key in [*wanted, *known]:
        before, now = known.get(key), wanted.get(key)

        if before != now:
            raise TranslationError(
                f"{folder} holds translations with another {key} ({_shown(before)}, now "
                f"{_shown(now)}); {mend}"
            )

    return True


def write_manifest(folder: Path, identity: Mapping[str, object]) -> None:
    """Writes ``identity`` into ``folder``.

    :raises OSError: It cannot be written.
    """
    scratch = folder / f".{MANIFEST_NAME}.tmp"

    with scratch.open("w", encoding="utf-8") as stream:
        json.dump(identity, stream, indent=2, ensure_ascii=False)

        stream.write("\n")
        stream.flush()

        os.fsync(stream.fileno())

    scratch.replace(folder / MANIFEST_NAME)


def _flatten(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and value:
        for key, element in value.items():
            yield from _flatten(element, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)

    return text if len(text) <= 40 else f"{text[:36]}..."
