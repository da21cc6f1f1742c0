"""Where a run writes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fairseq2_jest.cli.usage import UsageError


def check_writable(folder: Path, what: str) -> None:
    """Make ``folder``, and write to it.

    :param what: How the message calls it.
    :raises UsageError: It cannot be made or written.
    """
    # An address such as s3://bucket, which pathlib writes with one slash, is for fairseq2 to open.
    if folder.parts[:1] and folder.parts[0].endswith(":"):
        return

    try:
        folder.mkdir(parents=True, exist_ok=True)

        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as ex:
        raise UsageError(
            f"{what} {folder} cannot be written ({ex.strerror}); name another, or mend its "
            "permissions."
        ) from ex
