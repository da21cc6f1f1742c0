"""The checkout, and what it says about itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[1]

README: Final = (REPOSITORY / "README.md").read_text(encoding="utf-8")
