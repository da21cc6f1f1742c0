"""Give this virtual environment a libsndfile, so that every program in it can import fairseq2.

Where the system has none, the copy inside the soundfile wheel is linked to the environment's
``lib`` folder, where fairseq2n looks. Needs no root, and can be repeated.
"""

from __future__ import annotations

import sys
from pathlib import Path

from fairseq2_jest.cli.libsndfile import LIBRARY, bundled_library, has_library


def main() -> int:
    link = Path(sys.prefix, "lib", LIBRARY)

    if link.exists() or has_library():
        return 0

    bundled = bundled_library()

    if bundled is None:
        print(
            "There is no libsndfile, and the soundfile wheel for this machine has none either: "
            "install the system's package (libsndfile1).",
            file=sys.stderr,
        )

        return 1

    # A dangling link may be left of an older environment.
    link.unlink(missing_ok=True)
    link.symlink_to(bundled)

    print(f"Linked {LIBRARY} to the copy inside the soundfile wheel.")

    return 0


if __name__ == "__main__":
    sys.exit(main())
