"""What decides every part of a result, written beside it: results of two kinds are never mixed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from fairseq2.gang import Gang

from fairseq2_jest.cli.usage import UsageError
from fairseq2_jest.files import write_json

MANIFEST_NAME: Final = "manifest.json"


def claim(
    folder: Path, identity: Mapping[str, object], gang: Gang, *, results: str, pattern: str
) -> None:
    """Makes an output directory the place of one result, finished or not; a collective.

    :param identity: Everything that decides a part of the result: nested mappings, ready for JSON.
    :param results: What the folder holds, in the plural, for messages.
    :param pattern: Matches the files of a result, which are nobody's without a manifest.

    :raises UsageError: It holds another result; the message names the first difference.
    :raises OSError: The manifest cannot be written.
    """
    is_known = _check(folder, identity, results, pattern)

    # All have looked before one writes.
    gang.barrier()

    if not is_known and gang.rank == 0:
        write_json(folder / MANIFEST_NAME, identity)


def _check(folder: Path, identity: Mapping[str, object], results: str, pattern: str) -> bool:
    """Whether ``folder`` holds a result of just this ``identity``."""
    file = folder / MANIFEST_NAME

    mend = f"name another output directory, or delete {folder} to begin anew."

    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if any(folder.glob(pattern)):
            raise UsageError(
                f"{folder} holds {results}, but not its {MANIFEST_NAME}, which says of what; {mend}"
            ) from None

        return False
    except ValueError as ex:
        raise UsageError(f"{file} is damaged; {mend}") from ex

    known, wanted = dict(_flatten(found)), dict(_flatten(identity))

    for key in [*wanted, *known]:
        before, now = known.get(key), wanted.get(key)

        if before != now:
            raise UsageError(
                f"{folder} holds {results} with another {key} ({_shown(before)}, now "
                f"{_shown(now)}); {mend}"
            )

    return True


def _flatten(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and value:
        for key, element in value.items():
            yield from _flatten(element, f"{path}.{key}" if path else str(key))
    else:
        yield path, value


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)

    return text if len(text) <= 40 else f"{text[:36]}..."
